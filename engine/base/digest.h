// SHA-256, for digests of models, tokenizers and states.
#ifndef TOME_ENGINE_BASE_DIGEST_H_
#define TOME_ENGINE_BASE_DIGEST_H_

#include <cstddef>
#include <memory>
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

  // The digest as 64 lower-case hex digits. Ends the computation: call it once, and nothing after it.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The digest of one piece, as 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// Bytes as lower-case hex digits.
std::string HexEncode(std::string_view bytes);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_DIGEST_H_
