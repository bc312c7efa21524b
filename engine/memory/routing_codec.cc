#include "engine/memory/routing_codec.h"

#include <ATen/ATen.h>

#include <cmath>

namespace tome {
namespace {

at::Tensor AsTensor(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kFloat).view(shape);
}

// [R, D]
at::Tensor Basis(const RetrievalHead& head) {
  return AsTensor(head.basis, {head.code_dims(), static_cast<std::int64_t>(head.mean.size())});
}

}  // namespace

std::string EncodeKeys(const ModelProfile& profile, const at::Tensor& keys) {
  const std::int64_t tokens = keys.size(2);
  const int half = profile.code_bits == 4 ? 7 : 127;
  std::string codes(static_cast<std::size_t>(tokens) * profile.code_bytes(), '\0');
  std::size_t offset = 0;
  for (const RetrievalHead& head : profile.heads) {
    const at::Tensor own = keys.select(0, head.layer).select(0, head.kv_head).to(at::kFloat).cpu();
    const at::Tensor centred = own - at::tensor(head.mean, at::kFloat);
    const at::Tensor scaled = at::matmul(centred, Basis(head).t()) / at::tensor(head.step, at::kFloat);
    const at::Tensor rounded = scaled.round().clamp(-half, half).to(at::kChar).contiguous();
    const std::int8_t* values = rounded.const_data_ptr<std::int8_t>();
    const int dims = head.code_dims();
    for (std::int64_t token = 0; token < tokens; ++token) {
      char* out = codes.data() + static_cast<std::size_t>(token) * profile.code_bytes() + offset;
      const std::int8_t* row = values + token * dims;
      if (profile.code_bits == 8) {
        for (int r = 0; r < dims; ++r) out[r] = static_cast<char>(row[r]);
      } else {
        for (int r = 0; r < dims; r += 2) out[r / 2] = static_cast<char>((row[r] & 15) | (row[r + 1] & 15) << 4);
      }
    }
    offset += static_cast<std::size_t>(dims) * profile.code_bits / 8;
  }
  return codes;
}

void UnpackCodes(const ModelProfile& profile, std::size_t head, const std::uint8_t* codes, std::int64_t num_tokens,
                 std::int8_t* out) {
  std::size_t offset = 0;
  for (std::size_t i = 0; i < head; ++i) {
    offset += static_cast<std::size_t>(profile.heads[i].code_dims()) * profile.code_bits / 8;
  }
  const int dims = profile.heads[head].code_dims(), stride = profile.code_bytes();
  codes += offset;
  for (std::int64_t token = 0; token < num_tokens; ++token, codes += stride, out += dims) {
    if (profile.code_bits == 8) {
      for (int r = 0; r < dims; ++r) out[r] = static_cast<std::int8_t>(codes[r]);
      continue;
    }
    for (int r = 0; r < dims; r += 2) {
      out[r] = static_cast<std::int8_t>(static_cast<std::int8_t>(codes[r / 2] << 4) >> 4);
      out[r + 1] = static_cast<std::int8_t>(static_cast<std::int8_t>(codes[r / 2]) >> 4);
    }
  }
}

HeadQueries ProjectQueries(const RetrievalHead& head, const at::Tensor& queries) {
  const at::Tensor all = queries.to(at::kFloat).cpu();
  const at::Tensor projected = at::matmul(all, Basis(head).t())
                                   .mul_(at::tensor(head.step, at::kFloat))
                                   .div_(std::sqrt(static_cast<double>(all.size(1))))
                                   .contiguous();
  const float* values = projected.const_data_ptr<float>();
  return {.values = {values, values + projected.numel()}, .num_queries = static_cast<int>(all.size(0))};
}

}  // namespace tome
