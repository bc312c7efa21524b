#include "engine/text/tokenizers/merge_rules.h"

#include <cstddef>
#include <optional>
#include <string>

#include "engine/base/status.h"

namespace tome {

absl::Status AddMerges(const TokenizerData& data, const Vocabulary& vocabulary, BpeMerger* merger) {
  for (std::size_t rank = 0; rank < data.merges.size(); ++rank) {
    const auto& [left, right] = data.merges[rank];
    const std::optional<TokenId> left_id = vocabulary.FindInModel(left), right_id = vocabulary.FindInModel(right);
    const std::optional<TokenId> merged = vocabulary.FindInModel(left + right);
    if (!left_id || !right_id || !merged) {
      return InvalidArgument("{}: tokenizer merge {} ('{}' and '{}'): '{}' is not in the vocabulary", data.source, rank,
                             left, right,
                             !left_id    ? left
                             : !right_id ? right
                                         : left + right);
    }
    if (vocabulary.IsSpecial(*merged)) {
      return InvalidArgument("{}: tokenizer merge {} makes the special token '{}'", data.source, rank, left + right);
    }
    if (!merger->AddMerge(*left_id, *right_id, *merged)) {
      return InvalidArgument("{}: tokenizer merge {} ('{}' and '{}') stands there twice", data.source, rank, left,
                             right);
    }
  }
  return absl::OkStatus();
}

}  // namespace tome
