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
      command
          ->add_option("--state-bytes", arguments->max_state_bytes,
                       "Budget of the state, like 128MiB, to which the region memory is cut (0: the server's default)")
          ->transform(CLI::AsSizeValue(false)),
      command->add_option("--attention", arguments->attention,
                          "How heads attend while text is read: dense, sliding(1024), scca-fixed(w=512), "
                          "scca-flow(w=512,m=4), sda4, longmixed(w=512), or a list like dense:3,sda2:6"),
      command->add_option("--rope", arguments->position_encoding,
                          "Position encoding in place of the model's own: linear(2), ntk(2), dynamic-ntk(2), yarn(2), "
                          "llama3(2), crd-ntk(2)"),
  };
}

v1::MemoryOptions ToProto(const MemoryArguments& arguments) {
  v1::MemoryOptions options;
  options.set_window_tokens(arguments.window_tokens);
  options.set_sink_tokens(arguments.sink_tokens);
  options.set_segment_tokens(arguments.segment_tokens);
  options.set_region_tokens(arguments.region_tokens);
  options.set_region_memory(arguments.region_memory);
  options.set_max_state_bytes(arguments.max_state_bytes);
  options.set_attention(arguments.attention);
  options.set_position_encoding(arguments.position_encoding);
  return options;
}

}  // namespace tome::command
