// What a session takes, before there is one.
#ifndef TOME_ENGINE_MEMORY_SESSION_COST_H_
#define TOME_ENGINE_MEMORY_SESSION_COST_H_

#include <cstddef>
#include <cstdint>

#include "engine/memory/memory_options.h"
#include "engine/model/model.h"

namespace tome {

// What a session with some options costs, known before anything is read. Bytes.
struct SessionCost {
  std::size_t exact_bytes = 0;            // keys and values of sink and window, at most
  std::size_t region_memory_bytes = 0;    // at most, with what chooses among the regions
  std::size_t max_state_bytes = 0;        // the sum of both: Memory::MaxStateBytes, however much is read
  std::int64_t attended_tokens = 0;       // that a token attends to while text is read, at most
  double archive_bytes_per_token = 0;     // about: the stems of words are counted as English has them
  double text_bytes_per_token = 0;        // of the text itself, about, as English is tokenized
  std::size_t dense_bytes_per_token = 0;  // of a cache of all keys and values in bf16, to compare with
};
// `options` are valid for the model.
SessionCost ComputeSessionCost(const Model& model, const MemoryOptions& options);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_SESSION_COST_H_
