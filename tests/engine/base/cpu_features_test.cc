#include "engine/base/cpu_features.h"

#include <gtest/gtest.h>

namespace tome {
namespace {

TEST(CpuFeaturesTest, AgreesWithTheCompilersOwnDetection) {
  const CpuFeatureSet& features = GetCpuFeatures();
  EXPECT_EQ(features.avx2, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(features.fma, __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(features.avx512f, __builtin_cpu_supports("avx512f") != 0);
  EXPECT_EQ(features.avx512bw, __builtin_cpu_supports("avx512bw") != 0);
  EXPECT_EQ(features.avx512_vnni, __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(features.avx512_bf16, __builtin_cpu_supports("avx512bf16") != 0);
}

TEST(CpuFeaturesTest, DescriptionListsWhatIsThere) {
  EXPECT_EQ(CpuFeatureSet().Describe(), "none");
  EXPECT_EQ((CpuFeatureSet{.avx2 = true, .fma = true, .f16c = true}).Describe(), "AVX2 FMA F16C");
  EXPECT_EQ((CpuFeatureSet{.avx512_bf16 = true, .amx_bf16 = true}).Describe(), "AVX-512-BF16 AMX-BF16");
}

}  // namespace
}  // namespace tome
