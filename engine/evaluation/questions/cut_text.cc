#include "engine/evaluation/questions/cut_text.h"

#include "engine/base/status.h"

namespace tome {

TokenBytes TokenBytesOf(const Tokenizer& tokenizer) {
  return [&tokenizer](std::string_view text) -> absl::StatusOr<std::vector<std::uint32_t>> {
    std::vector<std::uint32_t> sizes;
    for (const TextToken& token : tokenizer.Encode(text)) sizes.push_back(token.num_bytes);
    return sizes;
  };
}

absl::StatusOr<std::string_view> CutToTokens(const TokenBytes& token_bytes, std::string_view text,
                                             std::int64_t tokens) {
  // Encoding more than about twice of what is needed would be a waste with books of megabytes.
  std::int64_t probe = 8 * tokens + 1024;
  while (true) {
    const std::string_view part = text.substr(0, static_cast<std::size_t>(probe));
    TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes(part));
    if (static_cast<std::int64_t>(sizes.size()) <= tokens && part.size() < text.size()) {
      probe *= 2;
      continue;
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < sizes.size() && static_cast<std::int64_t>(i) < tokens; ++i) bytes += sizes[i];
    while (bytes > 0 && bytes < part.size() && (static_cast<unsigned char>(part[bytes]) & 0xC0) == 0x80) --bytes;
    return part.substr(0, bytes);
  }
}

absl::StatusOr<std::string_view> CutBesideNeedles(const TokenBytes& token_bytes, std::string_view text,
                                                  std::int64_t tokens, const std::vector<Needle>& needles) {
  std::int64_t own = 0;
  for (const Needle& needle : needles) {
    TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes(needle.text + "\n"));
    own += static_cast<std::int64_t>(sizes.size());
  }
  if (own >= tokens) return InvalidArgument("{} needles have {} tokens, more than {}", needles.size(), own, tokens);
  TOME_ASSIGN_OR_RETURN(const std::string_view cut, CutToTokens(token_bytes, text, tokens - own));
  if (cut.size() < text.size()) return cut;
  TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes(text));
  return InvalidArgument(
      "the text has only {} tokens, and {} are wanted beside the needles; add more text, or ask for fewer",
      sizes.size(), tokens - own);
}

}  // namespace tome
