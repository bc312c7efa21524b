// What tome-eval prints: Markdown tables for people, JSON for programs.
#ifndef TOME_ENGINE_EVALUATION_REPORT_H_
#define TOME_ENGINE_EVALUATION_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/evaluation/answer_defaults.h"
#include "engine/evaluation/calibration.h"
#include "engine/evaluation/figures/metrics.h"

namespace tome {

// A Markdown table with columns padded to one width.
class ReportTable {
 public:
  explicit ReportTable(std::vector<std::string> header) : rows_({std::move(header)}) {}
  // As many cells as the header has.
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string Format() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// {"count": n, "1": share, "4": ...}
nlohmann::json ToJson(const Recall& recall);

std::string FormatCalibration(const CalibrationResult& result);
std::string FormatAnswerDefaults(const AnswerDefaults& defaults);
nlohmann::json ToJson(const AnswerDefaults& defaults);
nlohmann::json ToJson(const CalibrationResult& result);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_REPORT_H_
