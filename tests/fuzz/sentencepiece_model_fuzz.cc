// Any bytes as a tokenizer.model: they are refused with a message that names the file, or make a tokenizer that works.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  tome::TokenizerData data;
  data.kind = tome::TokenizerKind::kSentencePieceModel;
  data.source = "tokenizer.model";
  data.sentencepiece_model.assign(reinterpret_cast<const char*>(bytes), size);
  const absl::StatusOr<std::shared_ptr<const tome::Tokenizer>> tokenizer = tome::Tokenizer::Create(std::move(data));
  bool is_good = true;
  if (tokenizer.ok()) {
    std::size_t total = 0;
    const std::string text = "ab  \xff \u4e2d\n";
    for (const tome::TextToken& token : (*tokenizer)->Encode(text)) total += token.num_bytes;
    is_good = total == text.size();
  } else {
    const std::string message(tokenizer.status().message());
    is_good = absl::IsInvalidArgument(tokenizer.status()) && message.find("tokenizer.model") != std::string::npos;
  }
  if (is_good) return 0;
  std::fprintf(stderr, "broken: %s\n", tokenizer.status().ToString().c_str());
  std::abort();
}
