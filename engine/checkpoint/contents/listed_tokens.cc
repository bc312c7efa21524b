#include "engine/checkpoint/contents/listed_tokens.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"

namespace tome {
namespace {

// Puts tokens into the pieces of a vocabulary, and keeps track of which is where.
class Adder {
 public:
  Adder(const std::string& place, std::int64_t vocab_size, TokenizerData* data)
      : place_(place), vocab_size_(vocab_size), data_(data) {
    for (std::size_t id = 0; id < data->pieces.size(); ++id) {
      if (!IsHole(id)) ids_.emplace(data->pieces[id].text, id);
    }
  }

  absl::Status Add(const ListedToken& token) {
    if (token.text.empty()) {
      Warn(fmt::format("the token with id {} has no text: left out", token.id));
      return absl::OkStatus();
    }
    if (const auto known = ids_.find(token.text); known != ids_.end()) {
      if (known->second != static_cast<std::size_t>(token.id)) {
        Warn(fmt::format("{} has id {} here and {} in the vocabulary: the latter is taken", Quote(token.text), token.id,
                         known->second));
      }
      Mark(known->second, token, /*in_model=*/true);
      return absl::OkStatus();
    }
    if (token.id >= vocab_size_) {
      Warn(fmt::format("{} has id {}, but the model has only {} embeddings: left out", Quote(token.text), token.id,
                       vocab_size_));
      return absl::OkStatus();
    }
    return Place(token);
  }

 private:
  bool IsHole(std::size_t id) const {
    const TokenizerPiece& piece = data_->pieces[id];
    return piece.type == PieceType::kControl && piece.text == Hole(id).text;
  }

  absl::Status Place(const ListedToken& token) {
    const auto id = static_cast<std::size_t>(token.id);
    while (data_->pieces.size() <= id) data_->pieces.push_back(Hole(data_->pieces.size()));
    if (!IsHole(id)) {
      return InvalidArgument("{}: id {}: expected {} as in the vocabulary, found {}", place_, id,
                             Quote(data_->pieces[id].text), Quote(token.text));
    }
    data_->pieces[id] = {token.text, 0, PieceType::kNormal};
    ids_.emplace(token.text, id);
    Mark(id, token, /*in_model=*/false);
    return absl::OkStatus();
  }

  // What was said of a token first stays.
  void Mark(std::size_t id, const ListedToken& token, bool in_model) {
    AddedToken added = token.flags;
    added.id = static_cast<TokenId>(id);
    const auto same = [&](const AddedToken& other) { return other.id == added.id; };
    const auto known = std::find_if(data_->added.begin(), data_->added.end(), same);
    if (known == data_->added.end()) {
      added.in_model = in_model;
      data_->added.push_back(added);
      PieceType& type = data_->pieces[id].type;
      const bool is_settled = type == PieceType::kUnknown || type == PieceType::kControl;  // by a SentencePiece model
      if (!is_settled) type = token.special ? PieceType::kControl : PieceType::kUserDefined;
      return;
    }
    added.in_model = known->in_model;
    if (!(added == *known)) {
      Warn(fmt::format("{} is found otherwise here than {} says: the latter is taken", Quote(token.text),
                       data_->source));
    }
  }

  void Warn(const std::string& what) { data_->warnings.push_back(fmt::format("{}: {}", place_, what)); }

  const std::string& place_;
  std::int64_t vocab_size_;
  TokenizerData* data_;
  std::unordered_map<std::string, std::size_t> ids_;
};

}  // namespace

absl::StatusOr<ListedToken> ReadListedToken(const JsonFields& fields) {
  ListedToken token;
  TOME_ASSIGN_OR_RETURN(token.text, fields.String("content"));
  TOME_ASSIGN_OR_RETURN(const auto special, fields.OptionalBool("special"));
  token.special = special.value_or(false);
  const std::pair<const char*, bool*> flags[] = {{"lstrip", &token.flags.lstrip},
                                                 {"rstrip", &token.flags.rstrip},
                                                 {"single_word", &token.flags.single_word},
                                                 {"normalized", &token.flags.normalized}};
  token.flags.normalized = !token.special;  // where the file does not say
  for (const auto& [name, flag] : flags) {
    TOME_ASSIGN_OR_RETURN(const auto value, fields.OptionalBool(name));
    *flag = value.value_or(*flag);
  }
  return token;
}

TokenizerPiece Hole(std::size_t id) { return {fmt::format("[PAD{}]", id), 0, PieceType::kControl}; }

absl::Status AddListedTokens(const std::vector<ListedToken>& tokens, const std::string& place, std::int64_t vocab_size,
                             TokenizerData* data) {
  Adder adder(place, vocab_size, data);
  for (const ListedToken& token : tokens) TOME_RETURN_IF_ERROR(adder.Add(token));
  return absl::OkStatus();
}

}  // namespace tome
