// The options of the commands that measure the engine in this process or, with --target, a server.
#ifndef TOME_ENGINE_EVALUATION_COMMANDS_ANSWERER_OPTIONS_H_
#define TOME_ENGINE_EVALUATION_COMMANDS_ANSWERER_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/questions/answerer.h"

namespace tome {

struct AnswererOptions {
  CommonOptions common;
  std::string target;
  AnswererFactory connect;

  // The common options, of which --model is not required any more, and --target.
  void Add(CLI::App* command, const AnswererFactory& connector);
  // INVALID_ARGUMENT when there is neither a model nor a target. Null with a target and no model.
  absl::StatusOr<std::shared_ptr<const Model>> LoadModel();
  // `model`: may be null with a target.
  absl::StatusOr<std::unique_ptr<Answerer>> Make(std::shared_ptr<const Model> model) const;
};

// The same for needle and qa: one reading, whose findings are printed and written to --json.
struct FindingArguments {
  AnswererOptions answerer;
  FindingOptions finding;

  void Add(CLI::App* command, const AnswererFactory& connect);
  absl::StatusOr<std::unique_ptr<Answerer>> MakeAnswerer();
  absl::Status AskAll(const std::vector<std::string>& documents, absl::Span<const AskedQuestion> questions,
                      Answerer& answering) const;
};

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_COMMANDS_ANSWERER_OPTIONS_H_
