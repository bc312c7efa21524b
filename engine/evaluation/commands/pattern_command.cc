#include <memory>
#include <string>

#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/pattern_picture.h"
#include "engine/evaluation/report.h"

namespace tome {
namespace {

struct PatternArguments {
  std::string pattern, path;
  std::int64_t tokens = 64, heads = 9;
  int layers = 4;
};

absl::Status RunPattern(const PatternArguments& arguments) {
  TOME_ASSIGN_OR_RETURN(const AttentionPattern pattern, AttentionPattern::Parse(arguments.pattern));
  TOME_ASSIGN_OR_RETURN(const std::vector<HeadPattern> heads, pattern.ForHeads(arguments.heads, arguments.tokens));
  ReportTable table({"head", "pairs of query and key", "share of dense"});
  const double dense = static_cast<double>(arguments.tokens) * static_cast<double>(arguments.tokens + 1) / 2;
  for (std::size_t head = 0; head < heads.size(); ++head) {
    const std::int64_t pairs = VisiblePairs(heads[head], arguments.tokens);
    table.AddRow(
        {fmt::format("{}", head), fmt::format("{}", pairs), fmt::format("{:.3f}", static_cast<double>(pairs) / dense)});
  }
  fmt::print("{} over {} tokens; each pair costs 2 x head dimension multiply-adds\n\n{}", pattern.ToString(),
             arguments.tokens, table.Format());
  if (arguments.path.empty()) return absl::OkStatus();
  return WriteTextFile(arguments.path, DrawPattern(pattern, heads, arguments.tokens, arguments.layers));
}

}  // namespace

void AddPatternCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<PatternArguments>();
  CLI::App* command = app.add_subcommand("pattern", "What an attention pattern lets each head see, as a picture");
  command->add_option("name", arguments->pattern, "The pattern, as for perplexity --attention")->required();
  command->add_option("--tokens", arguments->tokens, "Tokens of the sequence")
      ->capture_default_str()
      ->check(CLI::Range(1, 512));
  command->add_option("--heads", arguments->heads, "Query heads")->capture_default_str()->check(CLI::Range(1, 256));
  command->add_option("--layers", arguments->layers, "Layers of the receptive field")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command->add_option("--out", arguments->path, "Write the picture, SVG, to this file");
  command->callback([arguments, run] { *run = [arguments] { return RunPattern(*arguments); }; });
}

}  // namespace tome
