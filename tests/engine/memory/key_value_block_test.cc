#include "engine/memory/key_value_block.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace tome {
namespace {

TEST(AllocateKept, IsContiguousAlignedAndOfTheTypeAskedFor) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kChar}) {
    for (const std::int64_t tokens : {0, 1, 7, 64}) {
      const at::Tensor kept = AllocateKept({2, 3, tokens, 5}, type, at::kCPU);
      EXPECT_EQ(kept.sizes(), at::IntArrayRef({2, 3, tokens, 5}));
      EXPECT_EQ(kept.scalar_type(), type);
      EXPECT_TRUE(kept.is_contiguous());
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(kept.const_data_ptr()) % 64, 0u);
      kept.fill_(3);  // all of it is its own: sanitizers watch
    }
  }
}

TEST(KeyValueBlock, SlicesShareNothing) {
  const KeyValueBlock block{at::arange(2 * 3 * 8 * 4).view({2, 3, 8, 4}).to(at::kFloat), at::ones({2, 3, 8, 4})};
  const KeyValueBlock slice = block.Slice(2, 3);
  EXPECT_TRUE(at::equal(slice.keys, block.keys.narrow(2, 2, 3)));
  EXPECT_TRUE(slice.keys.is_contiguous());
  slice.keys.zero_();
  EXPECT_EQ(block.keys[0][0][2][0].item<float>(), 8);
}

}  // namespace
}  // namespace tome
