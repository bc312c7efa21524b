#include "engine/training/data_set.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/files/byte_writer.h"

namespace tome {
namespace {

// Texts with special tokens in them, which count as such.
class SpecialTexts {
 public:
  explicit SpecialTexts(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
      const std::string_view piece = tokenizer.PieceText(id);
      if (tokenizer.IsSpecial(id) && !piece.empty()) by_text_.emplace(piece, id);
    }
  }

  // The tokens of a text that begins the model's input and is not its end.
  std::vector<TokenId> Encode(std::string_view text) const {
    std::vector<TokenId> tokens;
    std::optional<TokenId> before;
    for (std::size_t begin = 0; begin < text.size();) {
      const auto [at, special] = Next(text, begin);
      if (at > begin) {
        const auto after = special ? std::optional(special->second) : std::nullopt;
        const std::vector<TokenId> own = tokenizer_.EncodeBetween(before, text.substr(begin, at - begin), after);
        tokens.insert(tokens.end(), own.begin(), own.end());
      }
      if (!special) break;
      tokens.push_back(special->second);
      before = special->second;
      begin = at + special->first.size();
    }
    return tokens;
  }

 private:
  using Special = std::pair<std::string_view, TokenId>;

  // The first special token from `begin` on, the longest of those there, and where it is; else the text's end.
  std::pair<std::size_t, std::optional<Special>> Next(std::string_view text, std::size_t begin) const {
    std::size_t best = text.size();
    std::optional<Special> found;
    for (const auto& [piece, id] : by_text_) {
      const std::size_t at = text.find(piece, begin);
      if (at > best || at == std::string_view::npos) continue;
      if (at < best || !found || piece.size() > found->first.size()) found = Special(piece, id);
      best = at;
    }
    return {best, found};
  }

  const Tokenizer& tokenizer_;
  std::map<std::string_view, TokenId> by_text_;
};

class CompletionReader {
 public:
  CompletionReader(const Tokenizer& tokenizer, const DataOptions& options)
      : tokenizer_(tokenizer), options_(options), specials_(tokenizer) {}

  absl::StatusOr<TrainingSequence> Read(std::string_view line, const std::string& place) {
    TOME_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(line, place));
    const JsonFields fields(object, place);
    TOME_ASSIGN_OR_RETURN(const std::string prompt, fields.String("prompt"));
    TOME_ASSIGN_OR_RETURN(const std::string completion,
                          fields.String(fields.Has("answer") && !fields.Has("completion") ? "answer" : "completion"));
    TOME_ASSIGN_OR_RETURN(const auto with_end, fields.OptionalBool("end"));
    std::vector<TokenId> learnt = EncodeCompletion(completion);
    if (learnt.empty()) return InvalidArgument("{}: expected a completion with tokens, found none", place);
    if (with_end.value_or(true) && tokenizer_.eos()) learnt.push_back(*tokenizer_.eos());
    return Join(EncodePrompt(prompt), learnt, place);
  }

  std::int64_t num_cut() const { return num_cut_; }

 private:
  std::vector<TokenId> EncodePrompt(const std::string& prompt) const {
    std::vector<TokenId> tokens = specials_.Encode(prompt);
    const std::optional<TokenId> bos = tokenizer_.bos();
    const bool begins = bos && !tokens.empty() && tokens[0] == *bos;
    if (tokenizer_.add_bos() && bos && !begins) tokens.insert(tokens.begin(), *bos);
    return tokens;
  }

  std::vector<TokenId> EncodeCompletion(const std::string& completion) const {
    std::vector<TokenId> tokens;
    for (const TextToken& token : tokenizer_.Encode(completion)) tokens.push_back(token.id);
    return tokens;
  }

  absl::StatusOr<TrainingSequence> Join(std::vector<TokenId> prompt, const std::vector<TokenId>& learnt,
                                        const std::string& place) {
    const auto room = options_.window_tokens - static_cast<std::int64_t>(learnt.size());
    if (room < 1) {
      return InvalidArgument("{}: the completion has {} tokens, but the window is {}: give a longer one", place,
                             learnt.size(), options_.window_tokens);
    }
    if (prompt.empty()) return InvalidArgument("{}: expected a prompt with tokens, found none", place);
    if (static_cast<std::int64_t>(prompt.size()) > room) {
      ++num_cut_;
      prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(room));
    }
    TrainingSequence sequence{.tokens = std::move(prompt)};
    sequence.first_counted = sequence.tokens.size();
    sequence.tokens.insert(sequence.tokens.end(), learnt.begin(), learnt.end());
    return sequence;
  }

  const Tokenizer& tokenizer_;
  const DataOptions& options_;
  const SpecialTexts specials_;
  std::int64_t num_cut_ = 0;
};

std::vector<TokenId> TokensOfText(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<TokenId> tokens;
  if (tokenizer.add_bos() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  for (const TextToken& token : tokenizer.Encode(text)) tokens.push_back(token.id);
  return tokens;
}

}  // namespace

std::int64_t DataSet::tokens() const {
  std::int64_t total = 0;
  for (const TrainingSequence& sequence : sequences) total += static_cast<std::int64_t>(sequence.tokens.size());
  return total;
}

std::int64_t DataSet::counted() const {
  std::int64_t total = 0;
  for (const TrainingSequence& sequence : sequences) total += sequence.counted();
  return total;
}

std::string DataSet::Digest() const {
  Sha256 sha;
  for (const TrainingSequence& sequence : sequences) {
    ByteWriter writer;
    writer.Write<std::uint64_t>(sequence.tokens.size());
    writer.Write<std::uint64_t>(sequence.first_counted);
    for (const TokenId token : sequence.tokens) writer.Write<TokenId>(token);
    sha.Update(writer.bytes());
  }
  return sha.FinishHex();
}

absl::StatusOr<DataSet> ReadPlainText(std::string_view text, const Tokenizer& tokenizer, const DataOptions& options,
                                      const std::string& source) {
  const std::vector<TokenId> tokens = TokensOfText(text, tokenizer);
  const std::int64_t stride = options.stride_tokens > 0 ? options.stride_tokens : options.window_tokens;
  if (options.window_tokens < 2 || stride > options.window_tokens) {
    return InvalidArgument("window {} and stride {}: expected a window of 2 tokens or more and a stride within it",
                           options.window_tokens, stride);
  }
  if (tokens.size() < 2)
    return InvalidArgument("{}: expected a text of 2 tokens or more, found {}", source, tokens.size());
  DataSet data;
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::int64_t counted_end = 0;
  for (std::int64_t first = 0; counted_end < count; first += stride) {
    const std::int64_t end = std::min(count, first + options.window_tokens);
    const std::int64_t from = std::max(counted_end, first + 1);
    if (end - from < 2 && !data.sequences.empty()) break;
    data.sequences.push_back({.tokens = {tokens.begin() + first, tokens.begin() + end},
                              .first_counted = static_cast<std::size_t>(from - first)});
    counted_end = end;
  }
  return data;
}

absl::StatusOr<DataSet> ReadCompletions(std::string_view lines, const Tokenizer& tokenizer, const DataOptions& options,
                                        const std::string& source) {
  DataSet data;
  CompletionReader reader(tokenizer, options);
  for (std::int64_t number = 1; !lines.empty(); ++number) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    TOME_ASSIGN_OR_RETURN(TrainingSequence sequence, reader.Read(line, fmt::format("{}: line {}", source, number)));
    data.sequences.push_back(std::move(sequence));
  }
  if (data.sequences.empty()) return InvalidArgument("{}: expected lines of JSON, found none", source);
  if (reader.num_cut() > 0) {
    data.warnings.push_back(
        fmt::format("{}: {} of {} prompts are longer than the window of {} tokens and lose their "
                    "beginning",
                    source, reader.num_cut(), data.sequences.size(), options.window_tokens));
  }
  return data;
}

std::vector<std::int64_t> EpochOrder(std::int64_t count, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::seed_seq seeds{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                      static_cast<std::uint32_t>(epoch)};
  std::mt19937_64 random(seeds);
  // Not std::shuffle, whose order each standard library chooses.
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random() % static_cast<std::uint64_t>(i + 1))]);
  }
  return order;
}

}  // namespace tome
