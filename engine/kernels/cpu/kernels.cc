#include "engine/kernels/cpu/kernels.h"

#include "engine/base/cpu_features.h"

namespace tome {

const CpuKernels& GetCpuKernels() {
  static const CpuKernels& kernels = []() -> const CpuKernels& {
    const CpuFeatureSet& cpu = GetCpuFeatures();
    if (cpu.avx512f && cpu.avx512bw && cpu.avx2 && cpu.fma && cpu.f16c) {
      return cpu.avx512_bf16 ? cpu_avx512_bf16::kKernels : cpu_avx512::kKernels;
    }
    if (cpu.avx2 && cpu.fma && cpu.f16c) return cpu_avx2::kKernels;
    return cpu_baseline::kKernels;
  }();
  return kernels;
}

}  // namespace tome
