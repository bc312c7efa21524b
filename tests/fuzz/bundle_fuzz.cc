// Any bytes as an exported session; see bundle_target.h. Checksums are not looked at in this build.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/bundle_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::RunBundle({reinterpret_cast<const char*>(data), size});
  return 0;
}
