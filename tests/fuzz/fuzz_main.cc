// libFuzzer's entry for the target that TOME_FUZZ_TARGET names.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tests/fuzz/adapter_targets.h"
#include "tests/fuzz/checkpoint_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tome::testing::FuzzTarget* target = [] {
    for (const auto* targets : {&tome::testing::CheckpointFuzzTargets(), &tome::testing::AdapterFuzzTargets()}) {
      for (const tome::testing::FuzzTarget& candidate : *targets) {
        if (candidate.name == TOME_FUZZ_TARGET) return &candidate;
      }
    }
    std::abort();
  }();
  target->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
