#include <charconv>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/evaluation/commands/answerer_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/questions/engine_answerer.h"
#include "engine/evaluation/task_report.h"

namespace tome {
namespace {

struct TaskArguments {
  TaskKind kind = TaskKind::kPassKey;
  AnswererOptions answerer;
  AnswerOptions answer;
  TaskSettings settings;
  std::vector<std::string> text_paths;
  bool noise = false, needles = false, no_dense = false;
  std::vector<std::int64_t> lengths = {16384}, dense_lengths = {1024, 2048, 4096};
  std::vector<std::string> depths = {"11"};
  int repeats = 1;
  std::string svg_path;
};

// Depths from 0 to 1: a single number is how many there are, evenly from the beginning to the end; several, or one with
// a "%", are the depths in per cent.
absl::StatusOr<std::vector<double>> DepthsOf(const std::vector<std::string>& texts) {
  std::vector<double> depths;
  for (const std::string& text : texts) {
    const std::string digits = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
    double number = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    if (!whole || !(number >= 0 && number <= 100)) {
      return InvalidArgument("--depths: expected numbers from 0 to 100, found '{}'", text);
    }
    depths.push_back(number / 100);
  }
  if (texts.size() != 1 || texts[0].ends_with('%')) return depths;
  const auto count = static_cast<int>(std::lround(100 * depths[0]));
  if (count < 2) return InvalidArgument("--depths: expected 2 or more depths, or one like 50%, found '{}'", texts[0]);
  depths.clear();
  for (int i = 0; i < count; ++i) depths.push_back(static_cast<double>(i) / (count - 1));
  return depths;
}

absl::StatusOr<TaskSettings> SettingsOf(const TaskArguments& arguments) {
  TaskSettings settings = arguments.settings;
  settings.kind = arguments.kind;
  settings.filler = arguments.noise ? Filler::kNoise : arguments.needles ? Filler::kNeedles : Filler::kText;
  if (arguments.noise + arguments.needles + !arguments.text_paths.empty() != 1) {
    return InvalidArgument("give one of --text BOOK, --noise and --needles to hide the needles in");
  }
  TOME_ASSIGN_OR_RETURN(settings.text, ReadTextFiles(arguments.text_paths));
  return settings;
}

// The ceiling: the same questions of short documents, with the whole text in the context.
absl::StatusOr<std::vector<DenseRow>> MeasureDense(const TaskArguments& arguments, const TaskSettings& settings,
                                                   TaskGrid grid, const std::shared_ptr<const Model>& model) {
  grid.lengths.clear();
  const std::int64_t context = model->info().config.context_length;
  // The instruction and the question have fewer tokens than this.
  constexpr std::int64_t kPromptTokens = 256;
  for (const std::int64_t length : arguments.dense_lengths) {
    if (length + kPromptTokens + arguments.answer.max_answer_tokens <= context) {
      grid.lengths.push_back(length);
    } else {
      fmt::print(stderr, "no dense ceiling at {} tokens: they do not fit the model's context of {}\n", length, context);
    }
  }
  std::vector<DenseRow> rows;
  if (grid.lengths.empty()) return rows;
  TOME_ASSIGN_OR_RETURN(const auto documents, MakeTaskDocuments(settings, grid, TokenBytesOf(*model->tokenizer())));
  Progress progress("dense ceiling", static_cast<std::int64_t>(documents.size()));
  for (const TaskDocument& document : documents) {
    TOME_ASSIGN_OR_RETURN(std::string answer, AnswerDensely(model, document, arguments.answer.max_answer_tokens));
    rows.push_back(MakeDenseRow(settings.kind, document, std::move(answer)));
    progress.Show(static_cast<std::int64_t>(rows.size()));
  }
  return rows;
}

nlohmann::json SettingsJson(const TaskArguments& arguments, const TaskGrid& grid) {
  return {{"filler", arguments.noise     ? "noise"
                     : arguments.needles ? "needles"
                                         : "text"},
          {"lengths", grid.lengths},
          {"depths", grid.depths},
          {"repeats", grid.repeats},
          {"seed", arguments.settings.seed},
          {"keys", arguments.settings.keys},
          {"effort", arguments.answer.effort},
          {"budget_tokens", arguments.answer.budget_tokens},
          {"max_answer_tokens", arguments.answer.max_answer_tokens}};
}

absl::Status RunTasks(TaskArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const TaskSettings settings, SettingsOf(arguments));
  TaskGrid grid{.lengths = arguments.lengths, .repeats = arguments.repeats};
  TOME_ASSIGN_OR_RETURN(grid.depths, DepthsOf(arguments.depths));
  TOME_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model, arguments.answerer.LoadModel());
  TOME_ASSIGN_OR_RETURN(const std::unique_ptr<Answerer> answerer, arguments.answerer.Make(model));
  TOME_ASSIGN_OR_RETURN(const std::vector<TaskDocument> documents,
                        MakeTaskDocuments(settings, grid, TokenBytesOf(*answerer)));
  TaskRun run{.kind = arguments.kind};
  run.rows.resize(documents.size());
  TOME_RETURN_IF_ERROR(answerer->AnswerAll(documents, arguments.answer, [&](std::size_t index, TaskFigures figures) {
    run.rows[index] = MakeTaskRow(arguments.kind, documents[index], std::move(figures));
  }));
  if (model == nullptr) {
    fmt::print(stderr, "no dense ceiling: it needs the model itself (--model)\n");
  } else if (!arguments.no_dense) {
    TOME_ASSIGN_OR_RETURN(run.dense, MeasureDense(arguments, settings, grid, model));
  }
  fmt::print("{}", FormatTaskRun(run));
  if (!arguments.svg_path.empty()) TOME_RETURN_IF_ERROR(WriteTextFile(arguments.svg_path, DrawTaskRun(run)));
  nlohmann::json figures = ToJson(run);
  figures["settings"] = SettingsJson(arguments, grid);
  figures["answerer"] = answerer->Describe();
  return arguments.answerer.common.WriteJson(figures);
}

void AddFillerOptions(CLI::App* command, TaskArguments* arguments) {
  command->add_option("--text", arguments->text_paths, "Natural text to hide needles in; several are joined");
  command->add_flag("--noise", arguments->noise, "Hide them in the papers' sentences about grass and sky");
  if (arguments->kind != TaskKind::kPassKey) {
    command->add_flag("--needles", arguments->needles,
                      arguments->kind == TaskKind::kKeyValue ? "Hide the pair in a JSON object of other pairs"
                                                             : "Hide the needle among others of its kind");
  }
  if (arguments->kind == TaskKind::kMultiKey) {
    command->add_option("--keys", arguments->settings.keys, "Needles in a document, one of which is asked for")
        ->capture_default_str()
        ->check(CLI::Range(2, 1000));
  }
}

void AddGridOptions(CLI::App* command, TaskArguments* arguments) {
  command->add_option("--lengths", arguments->lengths, "Tokens of the documents")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option(
          "--depths", arguments->depths,
          "Depths of the needle in per cent, like 0 50 100 or 50%; a single number: so many, evenly from 0 to 100")
      ->capture_default_str();
  command->add_option("--repeats", arguments->repeats, "Documents for each length and depth, with other needles")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--seed", arguments->settings.seed, "Of keys, values and places")->capture_default_str();
  command
      ->add_option("--dense-lengths", arguments->dense_lengths,
                   "Tokens of the documents that the model answers with all of them in its context, as the ceiling")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-dense", arguments->no_dense, "Do not measure that ceiling");
}

void AddTaskCommand(CLI::App& app, TaskKind kind, const char* description, const AnswererFactory& connect,
                    std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<TaskArguments>();
  arguments->kind = kind;
  CLI::App* command = app.add_subcommand(std::string(TaskName(kind)), description);
  arguments->answerer.Add(command, connect);
  command->get_option("--target")
      ->description(command->get_option("--target")->get_description() +
                    ". --model then only serves the dense ceiling");
  AddFillerOptions(command, arguments.get());
  AddGridOptions(command, arguments.get());
  command->add_option("--effort", arguments->answer.effort, "How questions are searched")
      ->capture_default_str()
      ->check(CLI::IsMember({"fast", "balanced", "thorough"}));
  command->add_option("--budget", arguments->answer.budget_tokens, "Tokens of text that is read again")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--max-answer-tokens", arguments->answer.max_answer_tokens, "Most tokens of an answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--svg", arguments->svg_path, "Write heat maps of recall and accuracy by depth and length");
  command->callback([arguments, run] { *run = [arguments] { return RunTasks(*arguments); }; });
}

}  // namespace

void AddTaskCommands(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run) {
  AddTaskCommand(app, TaskKind::kPassKey, "Find a pass key in a long text (InfiniteBench's wording)", connect, run);
  AddTaskCommand(app, TaskKind::kNumber, "Find a magic number in a long text (RULER's wording)", connect, run);
  AddTaskCommand(app, TaskKind::kKeyValue, "Find the value of a key (InfiniteBench's wording)", connect, run);
  AddTaskCommand(app, TaskKind::kUuid, "Find a magic UUID in a long text (RULER's wording)", connect, run);
  AddTaskCommand(app, TaskKind::kMultiKey, "Find the magic number of one of several keys (RULER's wording)", connect,
                 run);
}

}  // namespace tome
