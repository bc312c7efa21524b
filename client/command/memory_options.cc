#include "client/command/memory_options.h"

namespace tome::command {

std::vector<CLI::Option*> AddMemoryOptions(CLI::App* command, MemoryArguments* arguments) {
  return {
      command->add_option("--window", arguments->window_tokens,
                          "Latest tokens that stay exact (0: the server's default)"),
      command->add_option("--sink", arguments->sink_tokens, "First tokens that stay exact (0: the server's default)"),
      command->add_option("--segment", arguments->segment_tokens, "Tokens read in one pass (0: the server's default)"),
      command->add_option("--region", arguments->region_tokens,
                          "Tokens of a region, the unit in which text is found and cited (0: the server's default)"),
      command->add_option("--region-memory", arguments->region_memory,
                          "What is attended beyond the window while reading: off, or settings like "
                          "selected=16,pool=64 on top of the server's default"),
  };
}

v1::MemoryOptions ToProto(const MemoryArguments& arguments) {
  v1::MemoryOptions options;
  options.set_window_tokens(arguments.window_tokens);
  options.set_sink_tokens(arguments.sink_tokens);
  options.set_segment_tokens(arguments.segment_tokens);
  options.set_region_tokens(arguments.region_tokens);
  options.set_region_memory(arguments.region_memory);
  return options;
}

}  // namespace tome::command
