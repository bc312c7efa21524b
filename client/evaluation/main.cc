// tome-eval: measures models and memories. Tables go to stdout, progress to stderr, JSON to the file of --json.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "client/evaluation/service_answerer.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/questions/answerer.h"
#include "fmt/format.h"

int main(int argc, char** argv) {
  CLI::App app("Measures models and memories", "tome-eval");
  app.require_subcommand(1);
  std::function<absl::Status()> run;
  tome::AddCalibrateCommand(app, argc, argv, &run);
  tome::AddNeedleCommand(app, tome::ServiceAnswerer::Connect, &run);
  tome::AddQaCommand(app, tome::ServiceAnswerer::Connect, &run);
  tome::AddTaskCommands(app, tome::ServiceAnswerer::Connect, &run);
  tome::AddStreamCommand(app, &run);
  tome::AddPerplexityCommand(app, &run);
  tome::AddPatternCommand(app, &run);
  tome::AddRecallCommand(app, &run);
  tome::AddCostCommand(app, &run);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = run();
  if (status.ok()) return 0;
  fmt::print(stderr, "tome-eval: {}\n", std::string(status.message()));
  return 1;
}
