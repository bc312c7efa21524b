// Any bytes as an exported session; see session_archive_target.h. Checksums are not looked at in this build.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/session_archive_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::RunSessionArchive({reinterpret_cast<const char*>(data), size});
  return 0;
}
