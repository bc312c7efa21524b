#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/adapter/adapter_file.h"
#include "engine/base/status.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/files/mapped_file.h"
#include "engine/model/guard.h"
#include "engine/model/llama_model.h"
#include "engine/training/commands/commands.h"
#include "engine/training/training_run.h"

namespace tome {
namespace {

struct TrainArguments {
  ModelOptions model;
  std::string precision = "auto", recompute = "auto", attention = "dense", encoding, schedule = "linear", begin_with;
  std::vector<std::string> completions, texts, validation_completions, validation_texts;
  std::vector<std::string> matrices = {"q_proj", "k_proj", "v_proj", "o_proj"}, ranks;
  TrainableOptions trainable;
  DataOptions data;
  RunOptions run;
  double epochs = 1;
};

std::atomic<bool> interrupted = false;

// A second one ends the process at once.
void Interrupt(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

absl::Status ReadInto(const std::vector<std::string>& paths, bool completions, const Tokenizer& tokenizer,
                      const DataOptions& options, DataSet* data) {
  for (const std::string& path : paths) {
    TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
    TOME_ASSIGN_OR_RETURN(DataSet own, completions ? ReadCompletions(file->view(), tokenizer, options, path)
                                                   : ReadPlainText(file->view(), tokenizer, options, path));
    for (const std::string& warning : own.warnings) fmt::print(stderr, "warning: {}\n", warning);
    data->sequences.insert(data->sequences.end(), std::make_move_iterator(own.sequences.begin()),
                           std::make_move_iterator(own.sequences.end()));
  }
  return absl::OkStatus();
}

absl::StatusOr<DataSet> ReadData(const std::vector<std::string>& completions, const std::vector<std::string>& texts,
                                 const Tokenizer& tokenizer, const DataOptions& options) {
  DataSet data;
  TOME_RETURN_IF_ERROR(ReadInto(completions, true, tokenizer, options, &data));
  TOME_RETURN_IF_ERROR(ReadInto(texts, false, tokenizer, options, &data));
  return data;
}

// "down_proj=4"
absl::Status ReadRanks(TrainArguments* arguments) {
  arguments->trainable.matrices.clear();
  for (const std::string& name : arguments->matrices) {
    arguments->trainable.matrices.push_back(*ParseAdaptedMatrix(name));
  }
  for (const std::string& text : arguments->ranks) {
    const std::size_t sign = text.find('=');
    const auto matrix = ParseAdaptedMatrix(text.substr(0, sign));
    const std::int64_t rank = sign == std::string::npos ? 0 : std::atoll(text.c_str() + sign + 1);
    if (!matrix || rank < 1)
      return InvalidArgument("--rank-of: expected MATRIX=RANK, as in down_proj=4, found '{}'", text);
    arguments->trainable.ranks[*matrix] = rank;
  }
  return absl::OkStatus();
}

std::string IdentityOf(const TrainableOptions& options) {
  std::string text = fmt::format("rank {} alpha {} seed {}", options.rank, options.alpha, options.seed);
  for (const AdaptedMatrix matrix : options.matrices) text += fmt::format(" {}", AdaptedMatrixName(matrix));
  for (const auto& [matrix, rank] : options.ranks) text += fmt::format(" {}={}", AdaptedMatrixName(matrix), rank);
  if (options.embedding) text += " embedding";
  if (options.norms) text += " norms";
  return text;
}

// What is trained, and what of the options has decided it.
absl::StatusOr<Trainable> Beginning(const TrainArguments& arguments, const LlamaWeights& weights,
                                    std::map<std::string, std::string>* identity) {
  if (arguments.begin_with.empty()) {
    (*identity)["adapter"] = IdentityOf(arguments.trainable);
    return Trainable::Make(weights, arguments.trainable);
  }
  TOME_ASSIGN_OR_RETURN(const auto adapter, LoadAdapter(arguments.begin_with, weights.config));
  (*identity)["adapter"] = adapter->digest();
  return Trainable::From(weights, adapter->contents());
}

// The most tokens that one pass can have.
std::int64_t LargestPass(const DataSet& data, std::int64_t batch) {
  std::vector<std::int64_t> sizes;
  for (const TrainingSequence& sequence : data.sequences)
    sizes.push_back(static_cast<std::int64_t>(sequence.tokens.size()));
  std::sort(sizes.rbegin(), sizes.rend());
  std::int64_t total = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(sizes.size(), static_cast<std::size_t>(batch)); ++i)
    total += sizes[i];
  return total;
}

double MiB(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// Keeps all activations where that takes little.
void ChooseRecomputing(const TrainArguments& arguments, const TrainingModel& model, std::int64_t tokens,
                       RunOptions* run) {
  constexpr std::int64_t kLittle = std::int64_t{2} << 30;
  run->recompute = arguments.recompute == "auto" ? EstimatePassBytes(model, tokens, false) > kLittle
                                                 : arguments.recompute == "always";
  fmt::print(stderr, "a pass of {} tokens takes about {:.0f} MiB above the weights, {} activations\n", tokens,
             MiB(EstimatePassBytes(model, tokens, run->recompute)), run->recompute ? "recomputing" : "keeping all");
}

std::int64_t PeakBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

std::function<void(const StepReport&)> Reporter(std::int64_t steps) {
  auto progress = std::make_shared<Progress>("step", steps);
  auto first_tokens = std::make_shared<std::int64_t>(-1);
  return [=](const StepReport& report) {
    if (*first_tokens < 0) {
      *first_tokens = report.tokens;
      *progress = Progress("step", steps, report.step);
    }
    const double rate = static_cast<double>(report.tokens - *first_tokens) / std::max(report.seconds, 1e-9);
    std::string note = fmt::format("loss {:.4f}, gradient {:.3f}, rate {:.2e}, {:.0f} tokens/s, peak {:.0f} MiB",
                                   report.loss, report.gradient_norm, report.learning_rate, rate, MiB(PeakBytes()));
    if (report.validation_loss) {
      fmt::print(stderr, "step {}: validation loss {:.4f}\n", report.step, *report.validation_loss);
    }
    progress->Show(report.step, note);
  };
}

absl::Status RunTrain(TrainArguments arguments) {
  TOME_RETURN_IF_ERROR(ReadRanks(&arguments));
  TOME_ASSIGN_OR_RETURN(arguments.model.precision, ParsePrecision(arguments.precision));
  TOME_ASSIGN_OR_RETURN(arguments.run.schedule.kind, ParseScheduleKind(arguments.schedule));
  TOME_ASSIGN_OR_RETURN(const AttentionPattern pattern, AttentionPattern::Parse(arguments.attention));
  TOME_ASSIGN_OR_RETURN(const auto loaded, Model::Load(arguments.model));
  const LlamaWeights& weights = LlamaModel::From(*loaded).weights();
  TOME_ASSIGN_OR_RETURN(const DataSet data,
                        ReadData(arguments.completions, arguments.texts, *loaded->tokenizer(), arguments.data));
  TOME_ASSIGN_OR_RETURN(const DataSet validation, ReadData(arguments.validation_completions, arguments.validation_texts,
                                                           *loaded->tokenizer(), arguments.data));
  if (data.sequences.empty()) return InvalidArgument("expected --completions or --text, found neither");
  RunOptions& run = arguments.run;
  if (run.schedule.steps == 0) {
    const double size = static_cast<double>(run.batch_sequences * run.accumulation);
    run.schedule.steps =
        static_cast<std::int64_t>(std::ceil(arguments.epochs * static_cast<double>(data.sequences.size()) / size));
  }
  arguments.trainable.seed = run.seed;
  TOME_ASSIGN_OR_RETURN(auto trainable, Beginning(arguments, weights, &run.identity));
  TOME_ASSIGN_OR_RETURN(const TrainingModel model,
                        MakeTrainingModel(weights, arguments.encoding, pattern, std::move(trainable)));
  run.identity["model"] = loaded->info().model_digest;
  run.identity["precision"] = PrecisionName(loaded->info().precision);
  run.identity["encoding"] = arguments.encoding;
  fmt::print(stderr, "{} sequences of {} tokens, {} of them learnt; {} steps\n", data.sequences.size(), data.tokens(),
             data.counted(), run.schedule.steps);
  ChooseRecomputing(arguments, model, LargestPass(data, run.batch_sequences), &run);
  std::signal(SIGINT, Interrupt);
  std::signal(SIGTERM, Interrupt);
  TOME_ASSIGN_OR_RETURN(const RunResult result,
                        RunTraining(model, data, validation, run, Reporter(run.schedule.steps), &interrupted));
  if (result.interrupted) {
    return absl::CancelledError(fmt::format("interrupted after step {}: run the same again to go on", result.steps));
  }
  fmt::print("{} steps, adapter in {}/adapter, losses in {}/losses.csv{}\n", result.steps, run.folder, run.folder,
             result.validation_loss ? fmt::format(", validation loss {:.4f}", *result.validation_loss) : "");
  return absl::OkStatus();
}

void AddDataOptions(CLI::App* command, TrainArguments* arguments) {
  command->add_option("--completions", arguments->completions,
                      "JSON lines {\"prompt\": .., \"completion\": ..}: the completion is learnt");
  command->add_option("--text", arguments->texts, "Plain text: every token is learnt, in windows");
  command->add_option("--validation-completions", arguments->validation_completions, "The same to measure the loss of");
  command->add_option("--validation-text", arguments->validation_texts, "The same to measure the loss of");
  command->add_option("--window", arguments->data.window_tokens, "The most tokens of a sequence")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 24));
  command
      ->add_option("--stride", arguments->data.stride_tokens, "Plain text: tokens from window to window; 0: a window")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
}

void AddAdapterOptions(CLI::App* command, TrainArguments* arguments) {
  command->add_option("--rank", arguments->trainable.rank, "Of the low-rank pairs")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--alpha", arguments->trainable.alpha, "Pairs are scaled by alpha / rank")->capture_default_str();
  command
      ->add_option("--matrices", arguments->matrices,
                   "Which have pairs: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::IsMember({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}));
  command->add_option("--rank-of", arguments->ranks, "Another rank of one matrix, as in down_proj=4")->delimiter(',');
  command->add_option("--begin-with", arguments->begin_with,
                      "Train this adapter further, in place of a new one of the given ranks and matrices");
  command->add_flag("--train-embedding", arguments->trainable.embedding, "Train the embedding whole as well");
  command->add_flag("--train-norms", arguments->trainable.norms, "Train all norms as well");
  command
      ->add_option(
          "--attention", arguments->attention,
          "Pattern of the training: dense, s2, scca-fixed, scca-flow(m=4), sda2, longmixed, sliding(1024), ...")
      ->capture_default_str();
  command->add_option(
      "--rope", arguments->encoding,
      "Position encoding: linear, ntk, dynamic-ntk, yarn, llama3, crd-ntk with a factor as in linear(2)");
  command->add_option("--crd-stages", arguments->run.crd_stages, "Of crd-ntk: stages in which its factor grows")
      ->capture_default_str();
}

void AddRunOptions(CLI::App* command, TrainArguments* arguments) {
  RunOptions& run = arguments->run;
  command->add_option("--steps", run.schedule.steps, "Steps; 0: as --epochs says")->capture_default_str();
  command->add_option("--epochs", arguments->epochs, "How often each sequence is read")->capture_default_str();
  command->add_option("--learning-rate", run.schedule.learning_rate, "The highest")->capture_default_str();
  command->add_option("--warmup", run.schedule.warmup_steps, "Steps in which it rises")->capture_default_str();
  command->add_option("--schedule", arguments->schedule, "What follows: constant, linear, cosine")
      ->capture_default_str()
      ->check(CLI::IsMember({"constant", "linear", "cosine"}));
  command->add_option("--weight-decay", run.adam.weight_decay, "Of matrices")->capture_default_str();
  command->add_option("--batch", run.batch_sequences, "Sequences of a pass")->capture_default_str();
  command->add_option("--accumulate", run.accumulation, "Passes of a step")->capture_default_str();
  command->add_option("--clip", run.clip_norm, "The longest gradient; 0: any")->capture_default_str();
  command->add_option("--seed", run.seed, "Of the order of sequences and of the pairs' beginning")
      ->capture_default_str();
  command->add_option("--validate-every", run.validate_every, "Steps; 0: only at the end")->capture_default_str();
  command->add_option("--checkpoint-every", run.checkpoint_every, "Steps; 0: only at the end")->capture_default_str();
  command->add_option("--output", run.folder, "Folder of checkpoints, losses and the adapter")->required();
  command
      ->add_option("--recompute", arguments->recompute,
                   "Activations: always, never, or auto: where keeping them takes more than 2 GiB")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "always", "never"}));
}

}  // namespace

void AddTrainCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<TrainArguments>();
  arguments->run.schedule.learning_rate = 2e-4;
  CLI::App* command = app.add_subcommand("adapter", "Train an adapter; goes on from the newest checkpoint of --output");
  command->add_option("--model", arguments->model.path, "Model file or folder")->required();
  command->add_option("--tokenizer", arguments->model.tokenizer_path, "Vocabulary file of a llama2.c model");
  command->add_option("--threads", arguments->model.num_threads, "Compute threads; 0: one for each core")
      ->capture_default_str();
  command->add_option("--precision", arguments->precision, "auto (the fastest on these cores), fp32, bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  AddDataOptions(command, arguments.get());
  AddAdapterOptions(command, arguments.get());
  AddRunOptions(command, arguments.get());
  command->callback([arguments, run] { *run = [arguments] { return Guarded([&] { return RunTrain(*arguments); }); }; });
}

}  // namespace tome
