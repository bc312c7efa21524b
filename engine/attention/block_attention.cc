#include "engine/attention/block_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/kernels/cpu/kernels.h"

namespace tome {
namespace {

// Calls body(i) for each i < count from all threads; one that is late takes fewer. `make` gives each thread its body.
template <typename Make>
void ShareOut(std::int64_t count, Make make) {
  std::atomic<std::int64_t> next{0};
  at::parallel_for(0, std::min<std::int64_t>(count, at::get_num_threads()), 1, [&](std::int64_t, std::int64_t) {
    auto body = make();
    for (std::int64_t i = next++; i < count; i = next++) body(i);
  });
}

class PackedHeads {
 public:
  PackedHeads(const at::Tensor& keys, const at::Tensor& values)
      : pairs_(PackedPairs(keys.size(1), keys.size(2))),
        all_(std::make_unique_for_overwrite<std::uint32_t[]>(2 * keys.size(0) * pairs_)) {
    const std::int64_t num_keys = keys.size(1);
    const int dim = static_cast<int>(keys.size(2));
    const CpuKernels& kernels = GetCpuKernels();
    ShareOut(2 * keys.size(0), [&] {
      return [&](std::int64_t i) {
        const bool is_value = i % 2 == 1;
        const at::Tensor& from = is_value ? values : keys;
        (is_value ? kernels.pack_values : kernels.pack_keys)(
            from.const_data_ptr<at::BFloat16>() + i / 2 * from.stride(0), num_keys, dim, all_.get() + i * pairs_);
      };
    });
  }

  const std::uint32_t* keys(std::int64_t head) const { return all_.get() + 2 * head * pairs_; }
  const std::uint32_t* values(std::int64_t head) const { return all_.get() + (2 * head + 1) * pairs_; }

 private:
  std::int64_t pairs_;
  std::unique_ptr<std::uint32_t[]> all_;  // [KV][keys, values]
};

}  // namespace

bool BlockAttentionTakes(std::int64_t head_dim) { return head_dim % 16 == 0; }

void BlockAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                    const at::Tensor& out) {
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), dim = queries.size(2);
  const std::int64_t group = heads / keys.size(0), past = keys.size(1) - tokens;
  const PackedHeads packed(keys, values);
  const CpuKernels& kernels = GetCpuKernels();
  const at::BFloat16* from = queries.const_data_ptr<at::BFloat16>();
  at::BFloat16* to = out.mutable_data_ptr<at::BFloat16>();
  const std::int64_t blocks = (tokens + kQueryBlock - 1) / kQueryBlock;
  ShareOut(heads * blocks, [&] {
    return [&, scratch = std::make_unique_for_overwrite<float[]>(BlockScratchFloats(dim))](std::int64_t i) {
      const std::int64_t head = i / blocks, first = i % blocks * kQueryBlock;
      kernels.attend_packed(from + (head * tokens + first) * dim,
                            static_cast<int>(std::min<std::int64_t>(kQueryBlock, tokens - first)),
                            packed.keys(head / group), packed.values(head / group), past + first + 1,
                            static_cast<int>(dim), scratch.get(), to + first * heads * dim + head * dim, heads * dim);
    };
  });
}

}  // namespace tome
