// The options of a session's memory, of `tome create` and `tome model --session-cost`.
#ifndef TOME_CLIENT_COMMAND_MEMORY_OPTIONS_H_
#define TOME_CLIENT_COMMAND_MEMORY_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "tome/v1/tome.pb.h"

namespace tome::command {

struct MemoryArguments {
  std::uint32_t window_tokens = 0;
  std::uint32_t sink_tokens = 0;
  std::uint32_t segment_tokens = 0;
  std::uint32_t region_tokens = 0;
  std::string region_memory;
  std::uint64_t max_state_bytes = 0;
  std::string attention;
  std::string position_encoding;
};

// --window, --sink, --segment, --region, --region-memory, --state-bytes, --attention, --rope.
std::vector<CLI::Option*> AddMemoryOptions(CLI::App* command, MemoryArguments* arguments);
v1::MemoryOptions ToProto(const MemoryArguments& arguments);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_MEMORY_OPTIONS_H_
