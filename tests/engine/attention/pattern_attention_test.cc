#include "engine/attention/pattern_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using testing::IsOk;

const char* const kPatterns[] = {"dense",
                                 "sliding(1)",
                                 "sliding(2)",
                                 "sliding(7)",
                                 "sliding(300)",
                                 "dilated(1,3)",
                                 "dilated(4,3)",
                                 "s2",
                                 "s2(w=5)",
                                 "scca-fixed",
                                 "scca-fixed(w=1)",
                                 "scca-fixed(w=7)",
                                 "scca-flow",
                                 "scca-flow(w=3,m=2)",
                                 "sda2",
                                 "sda(5)",
                                 "longmixed",
                                 "scca-fixed(w=4):4,sda2:2,sda4:2",
                                 "dense:1,sliding(9):3,scca-flow(w=6,m=4):4"};

std::vector<HeadPattern> Heads(const char* text, std::int64_t heads, std::int64_t length) {
  const auto pattern = AttentionPattern::Parse(text);
  EXPECT_THAT(pattern, IsOk()) << text;
  const auto all = pattern->ForHeads(heads, length);
  EXPECT_THAT(all, IsOk()) << text;
  return *all;
}

// How often the pieces of a plan let each query see each key; -1 where a piece that should begin a row does not.
at::Tensor CountPairs(const std::vector<AttentionPiece>& pieces, const AttentionSpan& span) {
  const at::Tensor counts =
      at::zeros({span.queries, span.prefix + span.first_query + span.queries - span.first_key}, at::kInt);
  auto cells = counts.accessor<std::int32_t, 2>();
  std::vector<bool> begun(static_cast<std::size_t>(span.queries));
  for (const AttentionPiece& piece : pieces) {
    for (std::int64_t element = 0; element < piece.batch; ++element) {
      for (std::int64_t i = 0; i < piece.queries.count; ++i) {
        const std::int64_t row = piece.queries.first + element * piece.queries.batch_step + i * piece.queries.step;
        if (begun[row] != piece.joins) cells[row][0] = -100;
        begun[row] = true;
        for (std::int64_t k = 0; k < piece.keys.count; ++k) {
          if (piece.kind == AttentionPiece::Kind::kCausal && k > i) continue;
          if (piece.kind == AttentionPiece::Kind::kReversed && k < i) continue;
          ++cells[row][piece.keys.first + element * piece.keys.batch_step + k * piece.keys.step];
        }
      }
    }
  }
  EXPECT_EQ(std::count(begun.begin(), begun.end(), false), 0);
  return counts;
}

TEST(AttentionPlanTest, ComputesEachVisiblePairOnce) {
  std::mt19937 random(7);
  for (const char* text : kPatterns) {
    for (int round = 0; round < 25; ++round) {
      const std::int64_t length = 1 + random() % 70;
      AttentionSpan span;
      span.first_query = random() % length;
      span.queries = 1 + random() % (length - span.first_query);
      span.first_key = random() % (span.first_query + 1);
      span.prefix = random() % 3;
      if (round == 0) span = {.queries = length};
      std::int64_t pairs = 0;
      for (const HeadPattern& head : Heads(text, 8, length)) {
        const auto pieces = PlanAttention(head, span);
        const at::Tensor mask = VisibleMask(head, span);
        ASSERT_TRUE(at::equal(CountPairs(pieces, span), mask.to(at::kInt)))
            << text << " length " << length << " queries " << span.first_query << "+" << span.queries << " keys from "
            << span.first_key << " prefix " << span.prefix;
        pairs = 0;
        for (const AttentionPiece& piece : pieces) pairs += piece.VisiblePairs();
        EXPECT_EQ(pairs, mask.sum().item<std::int64_t>());
        if (round == 0) {
          EXPECT_EQ(pairs, VisiblePairs(head, length));
        }
      }
    }
  }
}

TEST(AttentionPlanTest, MakesOneBatchOfChunksOfTheSameShape) {
  EXPECT_EQ(PlanAttention(Heads("scca-fixed(w=8)", 2, 80)[0], {.queries = 80}).size(), 1u);
  EXPECT_EQ(PlanAttention(Heads("scca-flow(w=8,m=2)", 2, 80)[1], {.queries = 80}).size(), 2u);
  EXPECT_LE(PlanAttention(Heads("sliding(8)", 1, 800)[0], {.queries = 800}).size(), 6u);
}

struct Inputs {
  at::Tensor queries, keys, values;
};

Inputs Random(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads, std::int64_t queries, std::int64_t keys,
              std::int64_t dim, at::ScalarType type) {
  return {at::randn({batch, heads, queries, dim}, type), at::randn({batch, kv_heads, keys, dim}, type),
          at::randn({batch, kv_heads, keys, dim}, type)};
}

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(PatternAttentionTest, EqualsTheReference) {
  at::manual_seed(1);
  std::mt19937 random(2);
  struct Shape {
    std::int64_t heads, kv_heads, dim;
  };
  for (const char* text : kPatterns) {
    for (const Shape& shape : {Shape{8, 8, 16}, {8, 2, 32}, {8, 1, 24}}) {
      const std::int64_t length = 1 + random() % 90, batch = 1 + random() % 2;
      const auto heads = Heads(text, shape.heads, length);
      const AttentionSpan span{.queries = length};
      const PatternPlan plan(heads, span);
      for (const auto& [type, tolerance] : {std::pair{at::kFloat, 2e-6}, {at::kDouble, 1e-12}, {at::kBFloat16, 0.03}}) {
        const Inputs in = Random(batch, shape.heads, shape.kv_heads, length, length, shape.dim, type);
        const at::Tensor fast = PatternAttention(plan, in.queries, in.keys, in.values);
        EXPECT_EQ(fast.scalar_type(), type);
        const at::Tensor slow = ReferencePatternAttention(heads, span, in.queries, in.keys, in.values);
        EXPECT_LT(MaxDifference(fast, slow), tolerance) << text << " length " << length << " type " << type;
      }
    }
  }
}

TEST(PatternAttentionTest, EqualsTheReferenceBeyondOneBlock) {
  at::manual_seed(3);
  for (const char* text : {"sliding(600)", "sliding(256)", "dilated(300,2)", "scca-fixed(w=300)"}) {
    const auto heads = Heads(text, 3, 1300);
    const AttentionSpan span{.queries = 1300};
    const Inputs in = Random(1, 3, 1, 1300, 1300, 16, at::kFloat);
    EXPECT_LT(MaxDifference(PatternAttention(PatternPlan(heads, span), in.queries, in.keys, in.values),
                            ReferencePatternAttention(heads, span, in.queries, in.keys, in.values)),
              2e-6)
        << text;
  }
}

TEST(PatternAttentionTest, HasTheGradientsOfTheReference) {
  at::manual_seed(4);
  std::mt19937 random(5);
  for (const char* text : kPatterns) {
    const std::int64_t length = 20 + random() % 30;
    const auto heads = Heads(text, 8, length);
    const AttentionSpan span{.queries = length};
    const PatternPlan plan(heads, span);
    for (const auto& [type, tolerance] : {std::pair{at::kFloat, 2e-5}, {at::kDouble, 1e-11}}) {
      const Inputs in = Random(2, 8, 2, length, length, 16, type);
      const at::Tensor weights = at::randn(in.queries.sizes(), type);
      const std::vector<at::Tensor> all = {in.queries, in.keys, in.values};
      std::vector<std::vector<at::Tensor>> gradients;
      for (const bool fast : {true, false}) {
        std::vector<at::Tensor> own;
        for (const at::Tensor& input : all) own.push_back(input.detach().clone().requires_grad_());
        const at::Tensor out = fast ? PatternAttention(plan, own[0], own[1], own[2])
                                    : ReferencePatternAttention(heads, span, own[0], own[1], own[2]);
        out.mul(weights).sum().backward();
        for (at::Tensor& input : own) input = input.grad();
        gradients.push_back(own);
      }
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_LT(MaxDifference(gradients[0][i], gradients[1][i]), tolerance) << text << " input " << i;
      }
    }
  }
}

TEST(PatternAttentionTest, AStreamGivesWhatOnePassGives) {
  at::manual_seed(6);
  std::mt19937 random(7);
  const std::int64_t length = 150;
  for (const char* text : {"dense", "sliding(40)", "dilated(9,4)", "s2(w=32)", "scca-fixed(w=32)",
                           "scca-flow(w=16,m=4)", "sda4", "longmixed(w=24)"}) {
    const auto heads = *AttentionPattern::Parse(text)->ForHeads(8);
    const Inputs in = Random(1, 8, 2, length, length, 16, at::kFloat);
    const at::Tensor whole = PatternAttention(PatternPlan(heads, {.queries = length}), in.queries, in.keys, in.values);
    for (std::int64_t first = 0; first < length;) {
      const std::int64_t count = std::min<std::int64_t>(1 + random() % 40, length - first);
      // Only the keys that can still be seen are kept.
      std::int64_t oldest = first;
      for (const HeadPattern& head : heads) oldest = std::min(oldest, head.OldestKey(first));
      const AttentionSpan span{.first_query = first, .queries = count, .first_key = oldest};
      const std::int64_t keys = first + count - oldest;
      const at::Tensor part = PatternAttention(PatternPlan(heads, span), in.queries.narrow(2, first, count),
                                               in.keys.narrow(2, oldest, keys), in.values.narrow(2, oldest, keys));
      EXPECT_LT(MaxDifference(part, whole.narrow(2, first, count)), 2e-6) << text << " at " << first;
      first += count;
    }
  }
}

TEST(PatternAttentionTest, NoTokenDependsOnALaterOne) {
  at::manual_seed(8);
  const std::int64_t length = 60;
  for (const char* text : kPatterns) {
    const PatternPlan plan(Heads(text, 8, length), {.queries = length});
    const Inputs in = Random(1, 8, 4, length, length, 16, at::kFloat);
    const at::Tensor before = PatternAttention(plan, in.queries, in.keys, in.values);
    in.queries.narrow(2, 37, length - 37).normal_();
    in.keys.narrow(2, 37, length - 37).normal_();
    in.values.narrow(2, 37, length - 37).normal_();
    const at::Tensor after = PatternAttention(plan, in.queries, in.keys, in.values);
    EXPECT_TRUE(at::equal(before.narrow(2, 0, 37), after.narrow(2, 0, 37))) << text;
  }
}

TEST(PatternAttentionTest, KeysInFrontAreSeenByAll) {
  at::manual_seed(9);
  for (const char* text : {"dense", "sliding(7)", "scca-flow(w=8,m=4)", "sda4"}) {
    const auto heads = *AttentionPattern::Parse(text)->ForHeads(8);
    const AttentionSpan span{.first_query = 50, .queries = 30, .first_key = 21, .prefix = 13};
    const Inputs in = Random(1, 8, 2, 30, 13 + 80 - 21, 16, at::kFloat);
    EXPECT_LT(MaxDifference(PatternAttention(PatternPlan(heads, span), in.queries, in.keys, in.values),
                            ReferencePatternAttention(heads, span, in.queries, in.keys, in.values)),
              2e-6)
        << text;
  }
}

TEST(PatternAttentionTest, CountsWhatItCosts) {
  const std::int64_t length = 1024, dim = 64;
  const auto cost = [&](const char* text) {
    return PatternPlan(Heads(text, 16, length), {.queries = length}).MultiplyAdds(dim);
  };
  const std::int64_t dense = cost("dense");
  EXPECT_EQ(dense, 2 * dim * 16 * length * (length + 1) / 2);
  EXPECT_EQ(cost("sliding(64)"), 2 * dim * 16 * (64 * 65 / 2 + (length - 64) * 64));
  EXPECT_NEAR(static_cast<double>(cost("sda4")) / dense, 0.25, 0.01);
  EXPECT_NEAR(static_cast<double>(cost("scca-fixed(m=4)")) / dense, 0.3125, 0.001);
  EXPECT_LT(cost("scca-flow(m=16)"), dense / 6);
}

}  // namespace
}  // namespace tome
