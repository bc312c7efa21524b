#include "engine/training/training_run.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

#include "engine/adapter/peft_writer.h"
#include "engine/base/status.h"
#include "engine/files/file_replacement.h"
#include "engine/files/mapped_file.h"
#include "engine/model/position_encoding.h"
#include "engine/training/training_checkpoint.h"
#include "fmt/ranges.h"

namespace tome {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr char kLogHeader[] = "step,learning_rate,loss,gradient_norm,tokens,seconds,validation_loss\n";

std::string LogLine(const StepReport& report) {
  return fmt::format("{},{:.6e},{:.6f},{:.6f},{},{:.1f},{}\n", report.step, report.learning_rate, report.loss,
                     report.gradient_norm, report.tokens, report.seconds,
                     report.validation_loss ? fmt::format("{:.6f}", *report.validation_loss) : "");
}

// The lines of a log up to a step: later ones were not kept by a checkpoint and are written again.
std::string LogUpTo(std::string_view text, std::int64_t steps) {
  std::string kept = kLogHeader;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // cut off by a crash
    std::int64_t step = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + end, step);
    if (error == std::errc() && *stop == ',' && step <= steps) kept.append(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return kept;
}

absl::Status CheckOptions(const RunOptions& options, const DataSet& data) {
  const auto check = [](std::int64_t value, std::int64_t least, std::string_view name) {
    return value >= least ? absl::OkStatus() : InvalidArgument("{}: expected {} or more, found {}", name, least, value);
  };
  TOME_RETURN_IF_ERROR(check(options.schedule.steps, 1, "steps"));
  TOME_RETURN_IF_ERROR(check(options.schedule.warmup_steps, 0, "warm-up steps"));
  TOME_RETURN_IF_ERROR(check(options.batch_sequences, 1, "batch"));
  TOME_RETURN_IF_ERROR(check(options.accumulation, 1, "accumulation"));
  TOME_RETURN_IF_ERROR(check(options.crd_stages, 1, "stages of CRD NTK"));
  if (!(options.schedule.learning_rate >= 0 && options.schedule.learning_rate <= 1)) {
    return InvalidArgument("learning rate: expected 0 to 1, found {}", options.schedule.learning_rate);
  }
  if (!(options.clip_norm >= 0)) return InvalidArgument("clip: expected 0 or more, found {}", options.clip_norm);
  if (data.sequences.empty()) return InvalidArgument("the training data has no sequence");
  return absl::OkStatus();
}

class Run {
 public:
  Run(const TrainingModel& model, const DataSet& data, const DataSet& validation, const RunOptions& options)
      : model_(model),
        data_(data),
        validation_(validation),
        options_(options),
        optimizer_(model.trainable.parameters(), options.adam) {
    place_.identity = Identity();
  }

  // Makes the folder, and goes on from its newest checkpoint.
  absl::Status Begin() {
    std::error_code error;
    fs::create_directories(options_.folder, error);
    if (error) return ErrnoStatus(options_.folder, "make the folder", error.value());
    const std::optional<std::string> checkpoint = FindTrainingCheckpoint(options_.folder);
    std::string log = kLogHeader;
    if (checkpoint) {
      TOME_ASSIGN_OR_RETURN(place_, RestoreTrainingCheckpoint(*checkpoint, Identity(), model_.trainable, &optimizer_));
      if (const auto old = MappedFile::Open(LogPath()); old.ok()) log = LogUpTo((*old)->view(), place_.steps);
    }
    TOME_RETURN_IF_ERROR(ReplaceFile(LogPath(), log));
    log_.open(LogPath(), std::ios::app);
    return log_ ? absl::OkStatus() : Internal("{}: cannot write", LogPath());
  }

  bool finished() const { return place_.steps >= options_.schedule.steps; }
  std::int64_t steps() const { return place_.steps; }

  absl::StatusOr<StepReport> Step() {
    StepReport report{.step = place_.steps + 1, .learning_rate = options_.schedule.At(place_.steps)};
    const std::vector<std::int64_t> chosen = SequencesOf(place_.steps);
    std::int64_t counted = 0;
    for (const std::int64_t index : chosen) counted += Sequence(index).counted();
    TOME_ASSIGN_OR_RETURN(const double nats, AccumulateGradients(chosen, 1 / static_cast<double>(counted)));
    report.loss = nats / static_cast<double>(counted);
    report.gradient_norm = optimizer_.GradientNorm();
    if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
      return Internal("step {}: the loss is {} and the gradient's norm {}; it was over the sequences {}", report.step,
                      report.loss, report.gradient_norm, fmt::join(chosen, ", "));
    }
    const bool cut = options_.clip_norm > 0 && report.gradient_norm > options_.clip_norm;
    optimizer_.Step(report.learning_rate, cut ? options_.clip_norm / report.gradient_norm : 1.0);
    ++place_.steps;
    report.tokens = place_.tokens;
    if (ShouldValidate()) {
      TOME_ASSIGN_OR_RETURN(report.validation_loss, ValidationLoss(model_, validation_, options_.batch_sequences));
    }
    report.seconds = std::chrono::duration<double>(steady_clock::now() - begin_).count();
    log_ << LogLine(report) << std::flush;
    return report;
  }

  // After a step.
  absl::Status Keep(bool ends) {
    const bool due = options_.checkpoint_every > 0 && place_.steps % options_.checkpoint_every == 0;
    if (!due && !ends) return absl::OkStatus();
    if (!log_) return absl::ResourceExhaustedError(fmt::format("{}: cannot write: is the disk full?", LogPath()));
    return WriteTrainingCheckpoint(options_.folder, model_.trainable, optimizer_, place_, model_.config);
  }

  absl::Status Finish() const {
    return WritePeftAdapter((fs::path(options_.folder) / "adapter").string(), model_.trainable.Contents(),
                            model_.config, {});
  }

 private:
  std::string LogPath() const { return (fs::path(options_.folder) / "losses.csv").string(); }
  const TrainingSequence& Sequence(std::int64_t index) const {
    return data_.sequences[static_cast<std::size_t>(index)];
  }

  // The loss of the sequences, summed.
  absl::StatusOr<double> AccumulateGradients(const std::vector<std::int64_t>& chosen, double scale) {
    const auto size = static_cast<std::size_t>(options_.batch_sequences);
    std::mt19937_64 random = RandomOfStep();
    double nats = 0;
    for (std::size_t first = 0; first < chosen.size(); first += size) {
      std::vector<TrainingSequence> batch;
      PassOptions pass{.scale = scale, .recompute = options_.recompute};
      for (std::size_t i = first; i < std::min(chosen.size(), first + size); ++i) {
        batch.push_back(Sequence(chosen[i]));
        place_.tokens += static_cast<std::int64_t>(batch.back().tokens.size());
        if (cyclic()) pass.shifts.push_back(static_cast<std::int64_t>(random() % TrainedLength(model_.config)));
      }
      if (cyclic()) pass.rope_factor = FactorOfStep();
      TOME_ASSIGN_OR_RETURN(const double own, RunTrainingPass(model_, batch, pass));
      nats += own;
    }
    return nats;
  }

  bool cyclic() const { return model_.config.rope_scaling.kind == RopeScaling::Kind::kCrdNtk; }
  double FactorOfStep() const {
    const std::int64_t stage = place_.steps * options_.crd_stages / options_.schedule.steps;
    return CrdStageFactor(model_.config.rope_scaling.factor, stage, options_.crd_stages);
  }
  std::mt19937_64 RandomOfStep() const {
    std::seed_seq seeds{static_cast<std::uint32_t>(options_.seed), static_cast<std::uint32_t>(options_.seed >> 32),
                        static_cast<std::uint32_t>(place_.steps), std::uint32_t{1}};
    return std::mt19937_64(seeds);
  }

  bool ShouldValidate() const {
    if (validation_.sequences.empty()) return false;
    return finished() || (options_.validate_every > 0 && place_.steps % options_.validate_every == 0);
  }

  // Follows from the step alone, so that nothing of it need be kept.
  std::vector<std::int64_t> SequencesOf(std::int64_t step) {
    const std::int64_t size = options_.batch_sequences * options_.accumulation;
    const auto count = static_cast<std::int64_t>(data_.sequences.size());
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = step * size; i < (step + 1) * size; ++i) {
      if (i / count != epoch_) {
        epoch_ = i / count;
        order_ = EpochOrder(count, options_.seed, epoch_);
      }
      chosen.push_back(order_[static_cast<std::size_t>(i % count)]);
    }
    return chosen;
  }

  std::map<std::string, std::string> Identity() const {
    std::map<std::string, std::string> identity = options_.identity;
    identity["data"] = data_.Digest();
    identity["steps"] = fmt::format("{}", options_.schedule.steps);
    identity["warmup_steps"] = fmt::format("{}", options_.schedule.warmup_steps);
    identity["schedule"] = std::string(ScheduleKindName(options_.schedule.kind));
    identity["learning_rate"] = fmt::format("{}", options_.schedule.learning_rate);
    identity["weight_decay"] = fmt::format("{}", options_.adam.weight_decay);
    identity["batch"] = fmt::format("{}", options_.batch_sequences);
    identity["accumulation"] = fmt::format("{}", options_.accumulation);
    identity["clip_norm"] = fmt::format("{}", options_.clip_norm);
    identity["seed"] = fmt::format("{}", options_.seed);
    identity["crd_stages"] = fmt::format("{}", options_.crd_stages);
    identity["attention"] = model_.pattern.ToString();
    return identity;
  }

  const TrainingModel& model_;
  const DataSet& data_;
  const DataSet& validation_;
  const RunOptions& options_;
  AdamW optimizer_;
  TrainingPlace place_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
  std::ofstream log_;
  const steady_clock::time_point begin_ = steady_clock::now();
};

}  // namespace

absl::StatusOr<RunResult> RunTraining(const TrainingModel& model, const DataSet& data, const DataSet& validation,
                                      const RunOptions& options, const std::function<void(const StepReport&)>& report,
                                      const std::atomic<bool>* stop) {
  TOME_RETURN_IF_ERROR(CheckOptions(options, data));
  Run run(model, data, validation, options);
  TOME_RETURN_IF_ERROR(run.Begin());
  RunResult result;
  while (!run.finished() && !result.interrupted) {
    TOME_ASSIGN_OR_RETURN(const StepReport step, run.Step());
    result.interrupted = stop != nullptr && stop->load() && !run.finished();
    TOME_RETURN_IF_ERROR(run.Keep(/*ends=*/result.interrupted || run.finished()));
    if (step.validation_loss) result.validation_loss = step.validation_loss;
    if (report) report(step);
  }
  result.steps = run.steps();
  if (!result.interrupted) TOME_RETURN_IF_ERROR(run.Finish());
  return result;
}

absl::StatusOr<double> ValidationLoss(const TrainingModel& model, const DataSet& data, std::int64_t batch_sequences) {
  double nats = 0;
  for (std::size_t first = 0; first < data.sequences.size(); first += static_cast<std::size_t>(batch_sequences)) {
    const auto batch = absl::MakeConstSpan(data.sequences).subspan(first, static_cast<std::size_t>(batch_sequences));
    TOME_ASSIGN_OR_RETURN(const double own, RunTrainingPass(model, batch, {.with_gradients = false}));
    nats += own;
  }
  return nats / static_cast<double>(std::max<std::int64_t>(1, data.counted()));
}

}  // namespace tome
