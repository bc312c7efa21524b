#include "engine/base/cpu_features.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>
#include <utility>

namespace tome {
namespace {

struct CpuidRegisters {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidRegisters Cpuid(unsigned int leaf, unsigned int subleaf) {
  CpuidRegisters registers;
  // Leaves all registers zero when the CPU does not know the leaf.
  __get_cpuid_count(leaf, subleaf, &registers.eax, &registers.ebx, &registers.ecx, &registers.edx);
  return registers;
}

bool Bit(unsigned int value, int bit) { return ((value >> bit) & 1) != 0; }

// XCR0: the register sets that the operating system saves. Only where CPUID says that XGETBV exists.
std::uint64_t ReadXcr0() {
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

// Linux grants the 8 KiB of tile state only to processes that ask.
bool RequestAmxTiles() {
  constexpr long kArchRequestXcompPermission = 0x1023;
  constexpr long kTileDataFeature = 18;
  return syscall(SYS_arch_prctl, kArchRequestXcompPermission, kTileDataFeature) == 0;
}

CpuFeatureSet Detect() {
  constexpr std::uint64_t kAvxState = 0x6;      // XMM, YMM
  constexpr std::uint64_t kAvx512State = 0xe6;  // and opmask, ZMM
  constexpr std::uint64_t kAmxState = 0x60000;  // tile configuration and data
  CpuFeatureSet features;
  const CpuidRegisters leaf1 = Cpuid(1, 0);
  if (!Bit(leaf1.ecx, 27)) return features;  // no OSXSAVE
  const std::uint64_t xcr0 = ReadXcr0();
  const CpuidRegisters leaf7 = Cpuid(7, 0);
  const CpuidRegisters leaf7_1 = Cpuid(7, 1);
  if ((xcr0 & kAvxState) == kAvxState) {
    features.avx2 = Bit(leaf7.ebx, 5);
    features.fma = Bit(leaf1.ecx, 12);
    features.f16c = Bit(leaf1.ecx, 29);
  }
  if ((xcr0 & kAvx512State) == kAvx512State) {
    features.avx512f = Bit(leaf7.ebx, 16);
    features.avx512bw = Bit(leaf7.ebx, 30);
    features.avx512_vnni = Bit(leaf7.ecx, 11);
    features.avx512_bf16 = Bit(leaf7_1.eax, 5);
  }
  if ((xcr0 & kAmxState) == kAmxState && Bit(leaf7.edx, 24) && RequestAmxTiles()) {
    features.amx_bf16 = Bit(leaf7.edx, 22);
    features.amx_int8 = Bit(leaf7.edx, 25);
  }
  return features;
}

}  // namespace

std::string CpuFeatureSet::Describe() const {
  const std::pair<bool, std::string_view> flags[] = {
      {avx2, "AVX2"},
      {fma, "FMA"},
      {f16c, "F16C"},
      {avx512f, "AVX-512F"},
      {avx512bw, "AVX-512BW"},
      {avx512_bf16, "AVX-512-BF16"},
      {avx512_vnni, "AVX-512-VNNI"},
      {amx_bf16, "AMX-BF16"},
      {amx_int8, "AMX-INT8"},
  };
  std::string text;
  for (const auto& [present, name] : flags) {
    if (!present) continue;
    if (!text.empty()) text += ' ';
    text += name;
  }
  return text.empty() ? "none" : text;
}

const CpuFeatureSet& GetCpuFeatures() {
  static const CpuFeatureSet features = Detect();
  return features;
}

}  // namespace tome
