#include "engine/base/digest.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>

namespace tome {
namespace {

// SHA-256 fails in OpenSSL only when memory or the library's own set-up fails: nothing that an input can cause.
void Require(int result) {
  if (result == 1) return;
  std::fputs("OpenSSL's SHA-256 failed\n", stderr);
  std::abort();
}

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  Require(context_->evp != nullptr ? EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) : 0);
}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) { Require(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size())); }

void Sha256::Update(absl::Span<const std::byte> bytes) {
  Require(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()));
}

std::string Sha256::FinishHex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_->evp, digest, &size));
  return HexEncode({reinterpret_cast<const char*>(digest), size});
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 sha;
  sha.Update(bytes);
  return sha.FinishHex();
}

std::string HexEncode(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace tome
