// SHA-256, for digests of models, tokenizers and states.
#ifndef TOME_ENGINE_BASE_DIGEST_H_
#define TOME_ENGINE_BASE_DIGEST_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tome {

// SHA-256 of bytes that come in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view bytes);
  void Update(absl::Span<const std::byte> bytes);

  // The digest, 32 bytes; or as 64 lower-case hex digits. Ends the computation: call one of them, and nothing after it.
  std::string Finish();
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The digest of one piece, as 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// Bytes as lower-case hex digits.
std::string HexEncode(std::string_view bytes);
// And back; nullopt for what HexEncode does not make.
std::optional<std::string> HexDecode(std::string_view digits);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_DIGEST_H_
