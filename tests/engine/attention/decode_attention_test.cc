#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "engine/attention/causal_attention.h"

namespace tome {
namespace {

template <typename Type>
at::Tensor Decode(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, std::int64_t num_keys) {
  const DecodeShape shape = {.num_heads = queries.size(0),
                             .num_kv_heads = keys.size(0),
                             .head_dim = queries.size(1),
                             .head_stride = keys.stride(0),
                             .num_keys = num_keys};
  at::Tensor out = at::empty({1, queries.numel()});
  DecodeAttention(shape, queries.const_data_ptr<float>(), keys.const_data_ptr<Type>(), values.const_data_ptr<Type>(),
                  out.mutable_data_ptr<float>());
  return out;
}

TEST(DecodeAttention, EqualsTheReferenceOverRunsOfKeys) {
  at::manual_seed(1);
  for (const std::int64_t num_keys : {1, 2, 511, 512, 513, 1500}) {
    const at::Tensor queries = at::randn({6, 64}), keys = at::randn({2, 2000, 64}), values = at::randn({2, 2000, 64});
    const auto reference = [&](const at::Tensor& k, const at::Tensor& v) {
      return ReferenceCausalAttention(queries.unsqueeze(1), k.narrow(1, 0, num_keys), v.narrow(1, 0, num_keys));
    };
    EXPECT_TRUE(at::allclose(Decode<float>(queries, keys, values, num_keys), reference(keys, values), 1e-4, 1e-5))
        << num_keys;
    const at::Tensor keys16 = keys.to(at::kBFloat16), values16 = values.to(at::kBFloat16);
    EXPECT_TRUE(at::allclose(Decode<at::BFloat16>(queries, keys16, values16, num_keys), reference(keys16, values16),
                             1e-4, 1e-5))
        << num_keys;
  }
}

TEST(DecodeAttention, DoesNotDependOnTheNumberOfThreads) {
  at::manual_seed(2);
  const at::Tensor queries = at::randn({8, 32}), keys = at::randn({2, 1300, 32}), values = at::randn({2, 1300, 32});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = Decode<float>(queries, keys, values, 1300);
  at::set_num_threads(3);
  const at::Tensor three = Decode<float>(queries, keys, values, 1300);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, three));
}

}  // namespace
}  // namespace tome
