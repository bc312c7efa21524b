#include "client/command/session_cost.h"

#include "client/command/format.h"
#include "client/command/table.h"
#include "fmt/format.h"

namespace tome::command {

std::string FormatSessionCost(const v1::SessionCost& cost) {
  const v1::MemoryOptions& memory = cost.options();
  const std::string fields = RenderFields({
      {"memory", fmt::format("sink {}, window {}, segment {}, region {} tokens", memory.sink_tokens(),
                             memory.window_tokens(), memory.segment_tokens(), memory.region_tokens())},
      {"region memory", memory.region_memory()},
      {"attends to", fmt::format("at most {} tokens while it reads", FormatCount(cost.attended_tokens()))},
      {"state", fmt::format("at most {}, however much is read: sink and window {}, region memory {}",
                            FormatBytes(cost.max_state_bytes()), FormatBytes(cost.exact_bytes()),
                            FormatBytes(cost.region_memory_bytes()))},
      {"grows by", fmt::format("about {:.1f} bytes of archive a token, and about {:.1f} of stored English text",
                               cost.archive_bytes_per_token(), cost.text_bytes_per_token())},
      {"instead of",
       fmt::format("{} bytes a token, all keys and values in bf16", FormatCount(cost.dense_bytes_per_token()))},
      {"fits", fmt::format("{} such sessions in the {} that the server holds", FormatCount(cost.resident_sessions()),
                           FormatBytes(cost.max_resident_bytes()))},
  });
  Table table({{"TOKENS", true},
               {"STATE", true},
               {"ARCHIVE", true},
               {"TOGETHER", true},
               {"TEXT ON DISK", true},
               {"ALL KEYS AND VALUES", true},
               {"RATIO", true}});
  for (const v1::SessionCostAtLength& length : cost.lengths()) {
    table.AddRow({FormatCount(length.tokens()), FormatBytes(cost.max_state_bytes()),
                  FormatBytes(length.archive_bytes()), FormatBytes(length.memory_bytes()),
                  FormatBytes(length.text_bytes()), FormatBytes(length.dense_bytes()),
                  fmt::format("{:.0f}x", length.dense_ratio())});
  }
  return fields + '\n' + table.Render();
}

}  // namespace tome::command
