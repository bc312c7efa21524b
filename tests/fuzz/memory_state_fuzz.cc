// Any bytes as a memory; see memory_state_target.h. Checksums are not looked at in this build.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/memory_state_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::RunMemoryState({reinterpret_cast<const char*>(data), size});
  return 0;
}
