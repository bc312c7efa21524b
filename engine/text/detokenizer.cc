#include "engine/text/detokenizer.h"

#include <string_view>

namespace tome {

std::string Detokenizer::Append(TokenId id) {
  std::string_view bytes = tokenizer_->TokenBytes(id);
  if (drop_space_ && !bytes.empty()) {
    if (bytes.front() == ' ') bytes.remove_prefix(1);
    drop_space_ = false;
  }
  std::string text;
  replacer_.Append(bytes, &text);
  return text;
}

std::string Detokenizer::Finish() {
  std::string text;
  replacer_.Finish(&text);
  return text;
}

}  // namespace tome
