// tome-train: fine-tunes models. It needs the engine alone, so it lies here and not beside the client's programs.
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "engine/training/commands/commands.h"
#include "fmt/format.h"

int main(int argc, char** argv) {
  CLI::App app("Trains adapters of a model, and merges them into it", "tome-train");
  app.require_subcommand(1);
  std::function<absl::Status()> run;
  tome::AddTrainCommand(app, &run);
  tome::AddMergeCommand(app, &run);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = run();
  if (status.ok()) return 0;
  fmt::print(stderr, "tome-train: {}\n", std::string(status.message()));
  return 1;
}
