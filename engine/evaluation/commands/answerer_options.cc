#include "engine/evaluation/commands/answerer_options.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/questions/engine_answerer.h"
#include "fmt/format.h"

namespace tome {

void AnswererOptions::Add(CLI::App* command, const AnswererFactory& connector) {
  connect = connector;
  common.Add(command);
  command->get_option("--model")->required(false);
  command->add_option("--profile", common.model.profile_path, "Model profile, in place of the model's own");
  command
      ->add_option("--target", target, "HOST:PORT of a tome-server to measure (plain text); sessions take its defaults")
      ->excludes("--window")
      ->excludes("--region")
      ->excludes("--region-memory");
}

absl::StatusOr<std::shared_ptr<const Model>> AnswererOptions::LoadModel() {
  if (!common.model.path.empty()) return common.LoadModel();
  if (!target.empty()) return nullptr;
  return InvalidArgument("give --model to measure the engine, or --target to measure a server");
}

absl::StatusOr<std::unique_ptr<Answerer>> AnswererOptions::Make(std::shared_ptr<const Model> model) const {
  if (!target.empty()) return connect(target);
  return std::make_unique<EngineAnswerer>(std::move(model), common.memory);
}

void FindingArguments::Add(CLI::App* command, const AnswererFactory& connect) {
  answerer.Add(command, connect);
  command->get_option("--target")->excludes("--model")->excludes("--profile");
  command->add_option("--state", answerer.common.state_path,
                      "Keep what was read in this file, with --target in the session of this id, and start from it "
                      "when it is there already");
  command->add_option("--effort", finding.searches, "Searches to measure: fast, balanced, thorough")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--answers", finding.answered,
                   "Ways to answer with: searches, attention, stems, tokens, reciprocal, interleaved; to compare with, "
                   "none (no text), first (the beginning), random (regions), gold (the right ones). A server answers "
                   "with its searches, and with all of them")
      ->delimiter(',');
  command->add_option("--budget", finding.budget_tokens, "Tokens of text that is read again")->capture_default_str();
  command->add_option("--max-answer-tokens", finding.max_answer_tokens, "Most tokens of an answer")
      ->capture_default_str();
}

absl::StatusOr<std::unique_ptr<Answerer>> FindingArguments::MakeAnswerer() {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(finding));
  TOME_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model, answerer.LoadModel());
  return answerer.Make(std::move(model));
}

absl::Status FindingArguments::AskAll(const std::vector<std::string>& documents,
                                      absl::Span<const AskedQuestion> questions, Answerer& answering) const {
  TOME_ASSIGN_OR_RETURN(const Findings findings,
                        answering.AskAll(documents, questions, finding, answerer.common.state_path));
  fmt::print("{} tokens, {} regions, {} questions, at most {} tokens read again\n\n{}", findings.tokens,
             findings.regions, findings.questions.size(), finding.budget_tokens, FormatFindings(findings.questions));
  nlohmann::json figures = FindingsToJson(findings.questions);
  figures["answerer"] = answering.Describe();
  return answerer.common.WriteJson(figures);
}

}  // namespace tome
