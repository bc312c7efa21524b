#include "engine/attention/pattern_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>

namespace tome {
namespace {

// Evenly spaced query heads that share a key-value head.
struct HeadRun {
  std::int64_t first = 0, step = 1, count = 0, kv_head = 0;
};

std::vector<HeadRun> RunsOf(const std::vector<std::int64_t>& heads, std::int64_t heads_of_kv) {
  std::vector<HeadRun> runs;
  for (const std::int64_t head : heads) {
    const std::int64_t kv_head = head / heads_of_kv;
    if (!runs.empty() && runs.back().kv_head == kv_head) {
      HeadRun& run = runs.back();
      if (run.count == 1) run.step = head - run.first;
      if (head == run.first + run.count * run.step) {
        ++run.count;
        continue;
      }
    }
    runs.push_back({.first = head, .step = 1, .count = 1, .kv_head = kv_head});
  }
  return runs;
}

// The rows of `heads` heads, `head_step` apart (0: the same again), of `tensor` [heads, rows, D]: [batch, heads, count,
// D]. A view.
at::Tensor Rows(const at::Tensor& tensor, std::int64_t first_head, std::int64_t head_step, std::int64_t heads,
                const RowRange& rows, std::int64_t batch) {
  const std::int64_t row = tensor.stride(1);
  return tensor.as_strided({batch, heads, rows.count, tensor.size(2)},
                           {rows.batch_step * row, head_step * tensor.stride(0), rows.step * row, 1},
                           tensor.storage_offset() + first_head * tensor.stride(0) + rows.first * row);
}

struct Attended {
  at::Tensor values;  // [batch, heads, count, D]
  at::Tensor lse;     // [batch, heads, count], of scores; fp32, fp64 for fp64
};

Attended DenseAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, bool causal) {
  if (queries.is_cpu()) {
    auto [attended, lse] = at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, causal);
    return {attended, lse};
  }
  if (queries.scalar_type() == at::kFloat) {
    const auto result = at::_scaled_dot_product_efficient_attention(queries, keys, values, /*attn_bias=*/{},
                                                                    /*compute_log_sumexp=*/true, 0.0, causal);
    return {std::get<0>(result), std::get<1>(result).narrow(2, 0, queries.size(2))};
  }
  const auto result = at::_scaled_dot_product_flash_attention(queries, keys, values, 0.0, causal);
  return {std::get<0>(result), std::get<1>(result).narrow(2, 0, queries.size(2))};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> DenseAttentionGradients(const at::Tensor& gradient,
                                                                       const at::Tensor& queries,
                                                                       const at::Tensor& keys, const at::Tensor& values,
                                                                       const Attended& attended, bool causal) {
  if (queries.is_cpu()) {
    return at::_scaled_dot_product_flash_attention_for_cpu_backward(gradient, queries, keys, values, attended.values,
                                                                    attended.lse, 0.0, causal);
  }
  // By definition, a piece at a time: probabilities from the log-sum-exps of the whole row.
  const double scale = 1 / std::sqrt(static_cast<double>(queries.size(3)));
  at::Tensor scores = at::matmul(queries, keys.transpose(2, 3)).to(at::kFloat).mul_(scale);
  at::Tensor shares = scores.sub_(attended.lse.unsqueeze(-1)).exp_();
  if (causal) shares = shares.tril();
  const at::Tensor own = gradient.to(at::kFloat);
  const at::Tensor mean = own.mul(attended.values.to(at::kFloat)).sum(-1, /*keepdim=*/true);
  const at::Tensor of_scores =
      at::matmul(own, values.to(at::kFloat).transpose(2, 3)).sub_(mean).mul_(shares).mul_(scale);
  return {at::matmul(of_scores, keys.to(at::kFloat)), at::matmul(of_scores.transpose(2, 3), queries.to(at::kFloat)),
          at::matmul(shares.transpose(2, 3), own)};
}

// Queries, keys and values of one piece and one run of heads. A reversed piece is a causal one with both orders turned.
struct PieceViews {
  at::Tensor queries, keys, values;
};

PieceViews ViewsOf(const AttentionPiece& piece, const HeadRun& run, const at::Tensor& queries, const at::Tensor& keys,
                   const at::Tensor& values) {
  PieceViews views{Rows(queries, run.first, run.step, run.count, piece.queries, piece.batch),
                   Rows(keys, run.kv_head, 0, run.count, piece.keys, piece.batch),
                   Rows(values, run.kv_head, 0, run.count, piece.keys, piece.batch)};
  if (piece.kind != AttentionPiece::Kind::kReversed) return views;
  return {views.queries.flip({2}), views.keys.flip({2}), views.values.flip({2})};
}

bool IsCausal(const AttentionPiece& piece) { return piece.kind != AttentionPiece::Kind::kFull; }

// Writes a piece's part to rows `all`, or joins it with what they hold: the mean of both, weighted by the exponentials
// of their log-sum-exps.
void Put(const AttentionPiece& piece, const Attended& part, const Attended& all) {
  if (!piece.joins) {
    all.values.copy_(part.values);
    all.lse.copy_(part.lse);
    return;
  }
  const at::Tensor weight = at::sigmoid(part.lse.sub(all.lse)).unsqueeze(-1);
  all.values.copy_(at::lerp(all.values, part.values.to(all.values.scalar_type()), weight));
  all.lse.copy_(at::logaddexp(all.lse, part.lse));
}

template <typename Visit>
void VisitPieces(const PatternPlan& plan, std::int64_t heads_of_kv, const Visit& visit) {
  for (const PatternPlan::Group& group : plan.groups()) {
    const std::vector<HeadRun> runs = RunsOf(group.heads, heads_of_kv);
    for (const AttentionPiece& piece : group.pieces) {
      for (const HeadRun& run : runs) visit(piece, run);
    }
  }
}

// One sequence: `queries` [H, T, D] and so on. Gives values [H, T, D] in the type in which pieces are joined.
Attended AttendOne(const PatternPlan& plan, const at::Tensor& queries, const at::Tensor& keys,
                   const at::Tensor& values) {
  const at::ScalarType type = queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = queries.options().dtype(type);
  const Attended all{at::empty(queries.sizes(), options), at::empty({queries.size(0), queries.size(1), 1}, options)};
  VisitPieces(plan, queries.size(0) / keys.size(0), [&](const AttentionPiece& piece, const HeadRun& run) {
    const PieceViews views = ViewsOf(piece, run, queries, keys, values);
    Attended part = DenseAttention(views.queries, views.keys, views.values, IsCausal(piece));
    if (piece.kind == AttentionPiece::Kind::kReversed) part = {part.values.flip({2}), part.lse.flip({2})};
    Put(piece, part,
        {Rows(all.values, run.first, run.step, run.count, piece.queries, piece.batch),
         Rows(all.lse, run.first, run.step, run.count, piece.queries, piece.batch).squeeze(-1)});
  });
  return all;
}

// Adds to rows that a batch may share.
void AddRows(const at::Tensor& gradient, std::int64_t head, const RowRange& rows, std::int64_t batch,
             const at::Tensor& total) {
  for (std::int64_t element = 0; element < batch; ++element) {
    RowRange own = rows;
    own.first += element * rows.batch_step;
    Rows(total, head, 0, 1, own, 1).add_(gradient.narrow(0, element, 1).sum(1, /*keepdim=*/true));
  }
}

// Of the values and log-sum-exps of whole rows each piece's share of a row follows, and so its part of the gradients;
// those add up.
void AddGradients(const PatternPlan& plan, const at::Tensor& gradient, const PieceViews& inputs, const Attended& all,
                  const PieceViews& totals) {
  VisitPieces(plan, inputs.queries.size(0) / inputs.keys.size(0), [&](const AttentionPiece& piece, const HeadRun& run) {
    const bool reversed = piece.kind == AttentionPiece::Kind::kReversed;
    const PieceViews views = ViewsOf(piece, run, inputs.queries, inputs.keys, inputs.values);
    const auto rows_of = [&](const at::Tensor& tensor) {
      const at::Tensor rows = Rows(tensor, run.first, run.step, run.count, piece.queries, piece.batch);
      return reversed ? rows.flip({2}) : rows.contiguous();
    };
    const Attended whole{rows_of(all.values), rows_of(all.lse).squeeze(-1)};
    auto [of_queries, of_keys, of_values] =
        DenseAttentionGradients(rows_of(gradient), views.queries, views.keys, views.values, whole, IsCausal(piece));
    if (reversed) {
      of_queries = of_queries.flip({2});
      of_keys = of_keys.flip({2});
      of_values = of_values.flip({2});
    }
    Rows(totals.queries, run.first, run.step, run.count, piece.queries, piece.batch).add_(of_queries);
    AddRows(of_keys, run.kv_head, piece.keys, piece.batch, totals.keys);
    AddRows(of_values, run.kv_head, piece.keys, piece.batch, totals.values);
  });
}

class PatternFunction final : public torch::autograd::Function<PatternFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& queries,
                            const at::Tensor& keys, const at::Tensor& values, const PatternPlan* plan) {
    std::vector<at::Tensor> attended, lse;
    for (std::int64_t i = 0; i < queries.size(0); ++i) {
      Attended one = AttendOne(*plan, queries[i], keys[i], values[i]);
      attended.push_back(std::move(one.values));
      lse.push_back(std::move(one.lse));
    }
    const at::Tensor all = attended.size() == 1 ? attended[0].unsqueeze(0) : at::stack(attended);
    const at::Tensor result = all.to(queries.scalar_type());
    if (queries.requires_grad() || keys.requires_grad() || values.requires_grad()) {
      context->save_for_backward({queries, keys, values, result, at::stack(lse)});
      context->saved_data["plan"] = at::IValue::make_capsule(c10::make_intrusive<PlanHolder>(*plan));
    }
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto holder = context->saved_data["plan"].toCapsule();
    const PatternPlan& plan = static_cast<const PlanHolder&>(*holder).plan;
    const at::Tensor &queries = saved[0], &keys = saved[1], &values = saved[2];
    const at::ScalarType type = queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const PieceViews totals{at::zeros(queries.sizes(), queries.options().dtype(type)),
                            at::zeros(keys.sizes(), keys.options().dtype(type)),
                            at::zeros(values.sizes(), values.options().dtype(type))};
    for (std::int64_t i = 0; i < queries.size(0); ++i) {
      AddGradients(plan, gradients[0][i].contiguous(), {queries[i], keys[i], values[i]}, {saved[3][i], saved[4][i]},
                   {totals.queries[i], totals.keys[i], totals.values[i]});
    }
    return {totals.queries.to(queries.scalar_type()), totals.keys.to(keys.scalar_type()),
            totals.values.to(values.scalar_type()), at::Tensor()};
  }

 private:
  struct PlanHolder final : torch::CustomClassHolder {
    explicit PlanHolder(PatternPlan of) : plan(std::move(of)) {}
    PatternPlan plan;
  };
};

}  // namespace

PatternPlan::PatternPlan(const std::vector<HeadPattern>& heads, const AttentionSpan& span) : span_(span) {
  std::vector<HeadPattern> seen;
  for (std::size_t head = 0; head < heads.size(); ++head) {
    const auto same = std::find(seen.begin(), seen.end(), heads[head]);
    if (same == seen.end()) {
      seen.push_back(heads[head]);
      groups_.push_back({.pieces = PlanAttention(heads[head], span)});
      groups_.back().heads.push_back(static_cast<std::int64_t>(head));
    } else {
      groups_[same - seen.begin()].heads.push_back(static_cast<std::int64_t>(head));
    }
  }
}

std::int64_t PatternPlan::MultiplyAdds(std::int64_t head_dim) const {
  std::int64_t pairs = 0;
  for (const Group& group : groups_) {
    for (const AttentionPiece& piece : group.pieces) {
      pairs += piece.VisiblePairs() * static_cast<std::int64_t>(group.heads.size());
    }
  }
  return 2 * head_dim * pairs;
}

at::Tensor PatternAttention(const PatternPlan& plan, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values) {
  return PatternFunction::apply(queries, keys, values, &plan);
}

at::Tensor VisibleMask(const HeadPattern& pattern, const AttentionSpan& span) {
  const std::int64_t width = span.prefix + span.first_query + span.queries - span.first_key;
  const at::Tensor mask = at::zeros({span.queries, width}, at::kBool);
  auto rows = mask.accessor<bool, 2>();
  for (std::int64_t row = 0; row < span.queries; ++row) {
    for (std::int64_t key = 0; key < span.prefix; ++key) rows[row][key] = true;
    const KeyRange range = pattern.Visible(span.first_query + row, span.first_key);
    for (std::int64_t key = range.first; key <= range.last; key += range.step) {
      rows[row][span.prefix + key - span.first_key] = true;
    }
  }
  return mask;
}

at::Tensor ReferencePatternAttention(const std::vector<HeadPattern>& heads, const AttentionSpan& span,
                                     const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) {
  const at::ScalarType type = queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<at::Tensor> masks;
  for (const HeadPattern& head : heads) masks.push_back(VisibleMask(head, span));
  const at::Tensor mask = at::stack(masks).to(queries.device());
  const std::int64_t group = queries.size(1) / keys.size(1);
  const at::Tensor all_keys = keys.to(type).repeat_interleave(group, 1);
  const at::Tensor all_values = values.to(type).repeat_interleave(group, 1);
  const at::Tensor scores =
      at::matmul(queries.to(type), all_keys.transpose(2, 3)) / std::sqrt(static_cast<double>(queries.size(3)));
  const at::Tensor seen = scores.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(seen, -1), all_values);
}

}  // namespace tome
