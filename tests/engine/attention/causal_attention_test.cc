#include "engine/attention/causal_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <tuple>

#include "engine/attention/block_attention.h"
#include "engine/attention/flash_attention.h"

namespace tome {
namespace {

struct Shape {
  std::int64_t heads, kv_heads, past, tokens, dim;
};

struct Inputs {
  at::Tensor queries, keys, values;
};

Inputs Random(const Shape& shape, at::ScalarType type) {
  return {at::randn({shape.heads, shape.tokens, shape.dim}).to(type),
          at::randn({shape.kv_heads, shape.past + shape.tokens, shape.dim}).to(type),
          at::randn({shape.kv_heads, shape.past + shape.tokens, shape.dim}).to(type)};
}

at::Tensor Fast(const Inputs& in) {
  at::Tensor out = at::empty({in.queries.size(1), in.queries.size(0) * in.queries.size(2)}, in.queries.options());
  CausalAttention(in.queries, in.keys, in.values, out);
  return out;
}

TEST(CausalAttention, FastEqualsReferenceOverShapesAndTypes) {
  at::manual_seed(1);
  const Shape shapes[] = {{1, 1, 0, 1, 16},   {4, 2, 0, 7, 16},     {4, 4, 3, 5, 32},    {9, 3, 64, 33, 64},
                          {8, 2, 200, 1, 16}, {9, 3, 700, 512, 64}, {6, 1, 31, 64, 128}, {32, 8, 100, 40, 128}};
  for (const Shape& shape : shapes) {
    for (const auto& [type, tolerance] : {std::tuple(at::kFloat, 2e-5), std::tuple(at::kBFloat16, 2e-2)}) {
      const Inputs in = Random(shape, type);
      const at::Tensor expected = ReferenceCausalAttention(in.queries, in.keys, in.values);
      const double difference = (Fast(in).to(at::kFloat) - expected).abs().max().item<double>();
      EXPECT_LT(difference, tolerance) << "heads " << shape.heads << " past " << shape.past << " tokens "
                                       << shape.tokens << " " << type;
    }
  }
}

TEST(CausalAttention, RandomShapesAgreeWithTheReference) {
  for (int seed = 0; seed < 30; ++seed) {
    at::manual_seed(seed);
    const auto pick = [](int most) { return at::randint(1, most + 1, {1}).item<std::int64_t>(); };
    const std::int64_t kv_heads = pick(4);
    const Shape shape = {kv_heads * pick(4), kv_heads, pick(300) - 1, pick(150), 8 * pick(16)};
    const Inputs in = Random(shape, at::kFloat);
    const at::Tensor expected = ReferenceCausalAttention(in.queries, in.keys, in.values);
    EXPECT_TRUE(at::allclose(Fast(in), expected, 1e-4, 2e-5)) << "seed " << seed;
    const Inputs narrow = Random(shape, at::kBFloat16);
    const at::Tensor wide = ReferenceCausalAttention(narrow.queries, narrow.keys, narrow.values);
    EXPECT_TRUE(at::allclose(Fast(narrow).to(at::kFloat), wide, 1e-2, 2e-2)) << "bf16, seed " << seed;
  }
}

// CausalAttention takes one of them, by the CPU.
TEST(CausalAttention, BothKernelsForBf16EqualTheReference) {
  at::manual_seed(5);
  for (const Shape& shape : {Shape{9, 3, 700, 512, 64}, Shape{6, 6, 0, 50, 16}, Shape{8, 1, 130, 1, 80}}) {
    ASSERT_TRUE(BlockAttentionTakes(shape.dim));
    const Inputs in = Random(shape, at::kBFloat16);
    const at::Tensor expected = ReferenceCausalAttention(in.queries, in.keys, in.values);
    for (const auto& attend : {BlockAttention, FlashAttention}) {
      const at::Tensor out = at::empty({shape.tokens, shape.heads * shape.dim}, at::kBFloat16);
      attend(in.queries, in.keys, in.values, out);
      EXPECT_TRUE(at::allclose(out.to(at::kFloat), expected, 1e-2, 1e-2)) << "past " << shape.past;
    }
  }
}

TEST(BlockAttention, DoesNotDependOnTheNumberOfThreads) {
  at::manual_seed(6);
  const Inputs in = Random({9, 3, 200, 300, 64}, at::kBFloat16);
  const int threads = at::get_num_threads();
  const auto attend = [&](int with) {
    at::set_num_threads(with);
    const at::Tensor out = at::empty({300, 9 * 64}, at::kBFloat16);
    BlockAttention(in.queries, in.keys, in.values, out);
    at::set_num_threads(threads);
    return out;
  };
  EXPECT_TRUE(at::equal(attend(1), attend(3)));
}

TEST(CausalAttention, NoQueryDependsOnALaterKey) {
  at::manual_seed(2);
  const Inputs in = Random({4, 2, 20, 30, 16}, at::kFloat);
  const at::Tensor before = Fast(in);
  in.keys.narrow(1, 20 + 12, 18).add_(5);
  in.values.narrow(1, 20 + 12, 18).add_(5);
  const at::Tensor after = Fast(in);
  EXPECT_TRUE(at::equal(before.narrow(0, 0, 12), after.narrow(0, 0, 12)));
  EXPECT_FALSE(at::allclose(before.narrow(0, 12, 18), after.narrow(0, 12, 18)));
}

TEST(CausalAttention, TakesKeysAndValuesThatAreViewsOfALargerCache) {
  at::manual_seed(3);
  const at::Tensor cache = at::randn({2, 100, 16});
  Inputs in = Random({4, 2, 30, 10, 16}, at::kFloat);
  in.keys = cache.narrow(1, 0, 40);
  const at::Tensor expected = ReferenceCausalAttention(in.queries, in.keys, in.values);
  EXPECT_TRUE(at::allclose(Fast(in), expected, 1e-4, 2e-5));
}

TEST(CausalAttention, ScoresFarApartDoNotOverflow) {
  at::manual_seed(4);
  Inputs in = Random({2, 1, 50, 20, 16}, at::kFloat);
  in.queries.mul_(100);
  in.keys.mul_(100);
  const at::Tensor out = Fast(in);
  EXPECT_TRUE(at::isfinite(out).all().item<bool>());
  EXPECT_TRUE(at::allclose(out, ReferenceCausalAttention(in.queries, in.keys, in.values), 1e-3, 1e-3));
}

}  // namespace
}  // namespace tome
