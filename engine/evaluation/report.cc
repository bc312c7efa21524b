#include "engine/evaluation/report.h"

#include <algorithm>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr std::size_t kShownGroups = 12;

json ToJson(const HeadGroup& group) {
  return {{"layer", group.layer},
          {"kv_head", group.kv_head},
          {"query_heads", group.query_heads},
          {"figure", group.recall.figure()},
          {"verbatim", ToJson(group.recall.verbatim)},
          {"paraphrased", ToJson(group.recall.paraphrased)}};
}

std::vector<std::string> GroupCells(const HeadGroup& group) {
  return {fmt::format("{}", group.layer),
          fmt::format("{}", group.kv_head),
          fmt::format("{}", fmt::join(group.query_heads, ", ")),
          group.recall.verbatim.Format(),
          group.recall.paraphrased.Format(),
          fmt::format("{:.3f}", group.recall.figure())};
}

}  // namespace

std::string ReportTable::Format() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    for (std::size_t i = 0; i < widths.size(); ++i) text += fmt::format("| {:<{}} ", rows_[row][i], widths[i]);
    text += "|\n";
    if (row > 0) continue;
    for (const std::size_t width : widths) text += fmt::format("|{:-<{}}", "", width + 2);
    text += "|\n";
  }
  return text;
}

json ToJson(const Recall& recall) {
  json object = {{"count", recall.count()}};
  const auto shares = recall.shares();
  for (std::size_t i = 0; i < shares.size(); ++i) object[std::to_string(kRecallDepths[i])] = shares[i];
  return object;
}

std::string FormatCalibration(const CalibrationResult& result) {
  const FindingRecall& first = result.groups.front().recall;
  std::string text = fmt::format(
      "{} tokens, {} regions; {} verbatim and {} paraphrased needles. Recall of the needle's region at "
      "1/4/8/16/32 regions.\n\nThe best query heads of each key-value head, exact keys:\n\n",
      result.tokens, result.regions, first.verbatim.count(), first.paraphrased.count());
  ReportTable groups({"layer", "KV head", "query heads", "verbatim", "paraphrased", "figure"});
  for (std::size_t i = 0; i < std::min(kShownGroups, result.groups.size()); ++i) {
    groups.AddRow(GroupCells(result.groups[i]));
  }
  text += groups.Format() + "\nHeads added one by one, exact keys of all so far:\n\n";
  ReportTable additions({"layer", "KV head", "query heads", "verbatim", "paraphrased", "figure"});
  for (const HeadGroup& group : result.additions) additions.AddRow(GroupCells(group));
  text += additions.Format() + "\nBefore and after quantisation:\n\n";
  ReportTable codings({"heads", "dimensions", "bits", "bytes", "verbatim exact", "coded", "paraphrased exact", "coded",
                       "figure", "chosen"});
  for (std::size_t i = 0; i < result.codings.size(); ++i) {
    const CodingChoice& choice = result.codings[i];
    codings.AddRow(
        {fmt::format("{}", choice.num_heads), fmt::format("{}", choice.code_dims), fmt::format("{}", choice.code_bits),
         fmt::format("{}", choice.num_heads * choice.code_dims * choice.code_bits / 8), choice.exact.verbatim.Format(),
         choice.coded.verbatim.Format(), choice.exact.paraphrased.Format(), choice.coded.paraphrased.Format(),
         fmt::format("{:.3f}", choice.coded.figure()), i == result.chosen ? "yes" : ""});
  }
  return text + codings.Format();
}

std::string FormatAnswerDefaults(const AnswerDefaults& defaults) {
  std::string text;
  const auto add = [&](std::string title, std::string name, const std::vector<TriedDefault>& all, std::size_t chosen) {
    ReportTable table({std::move(name), "answers with the reference", "its log-probability", "chosen"});
    for (std::size_t i = 0; i < all.size(); ++i) {
      table.AddRow({all[i].name, fmt::format("{}", all[i].contained),
                    fmt::format("{:.2f}", all[i].MeanLogProbability()), i == chosen ? "yes" : ""});
    }
    text += fmt::format("\n{}, {} questions:\n\n{}", title, defaults.questions, table.Format());
  };
  add("Prompt forms over the right regions", "form", defaults.forms, defaults.form);
  add("Tokens of text that a search finds", "tokens", defaults.budgets, defaults.budget);
  return text;
}

json ToJson(const AnswerDefaults& defaults) {
  const auto list = [](const std::vector<TriedDefault>& all, std::size_t chosen) {
    json tried = json::array();
    for (std::size_t i = 0; i < all.size(); ++i) {
      tried.push_back({{"name", all[i].name},
                       {"budget_tokens", all[i].budget_tokens},
                       {"contained", all[i].contained},
                       {"log_probability", all[i].MeanLogProbability()},
                       {"chosen", i == chosen}});
    }
    return tried;
  };
  return {{"questions", defaults.questions},
          {"forms", list(defaults.forms, defaults.form)},
          {"budgets", list(defaults.budgets, defaults.budget)}};
}

json ToJson(const CalibrationResult& result) {
  json groups = json::array(), additions = json::array(), codings = json::array();
  for (const HeadGroup& group : result.groups) groups.push_back(ToJson(group));
  for (const HeadGroup& group : result.additions) additions.push_back(ToJson(group));
  for (std::size_t i = 0; i < result.codings.size(); ++i) {
    const CodingChoice& choice = result.codings[i];
    codings.push_back(
        {{"heads", choice.num_heads},
         {"code_dims", choice.code_dims},
         {"code_bits", choice.code_bits},
         {"chosen", i == result.chosen},
         {"exact", {{"verbatim", ToJson(choice.exact.verbatim)}, {"paraphrased", ToJson(choice.exact.paraphrased)}}},
         {"coded", {{"verbatim", ToJson(choice.coded.verbatim)}, {"paraphrased", ToJson(choice.coded.paraphrased)}}}});
  }
  return {{"tokens", result.tokens},
          {"regions", result.regions},
          {"groups", groups},
          {"additions", additions},
          {"codings", codings}};
}

}  // namespace tome
