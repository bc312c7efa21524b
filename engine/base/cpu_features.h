// What this CPU and operating system offer, found at run time. Thread-safe.
#ifndef TOME_ENGINE_BASE_CPU_FEATURES_H_
#define TOME_ENGINE_BASE_CPU_FEATURES_H_

#include <string>

namespace tome {

// A flag is set when the CPU has the instructions and the operating system keeps their registers.
struct CpuFeatureSet {
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512_bf16 = false;
  bool avx512_vnni = false;
  bool amx_bf16 = false;
  bool amx_int8 = false;

  // "AVX2 FMA F16C AVX-512F ..."; "none" when no flag is set.
  std::string Describe() const;

  friend bool operator==(const CpuFeatureSet&, const CpuFeatureSet&) = default;
};

// Detected on the first call, which also asks the kernel to grant this process the AMX tile state: the AMX flags mean
// that it was granted.
const CpuFeatureSet& GetCpuFeatures();

}  // namespace tome

#endif  // TOME_ENGINE_BASE_CPU_FEATURES_H_
