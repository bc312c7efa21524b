// Any bytes as a snapshot file; see snapshot_target.h. Checksums are not looked at in this build.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/snapshot_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::RunSnapshot({reinterpret_cast<const char*>(data), size});
  return 0;
}
