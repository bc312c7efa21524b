#include "engine/base/quote.h"

#include "fmt/format.h"

namespace tome {

std::string Quote(std::string_view text, std::size_t max_bytes) {
  std::string quoted = "'";
  for (const unsigned char byte : text.substr(0, max_bytes)) {
    if (byte >= ' ' && byte < 0x7f && byte != '\'' && byte != '\\') {
      quoted += static_cast<char>(byte);
    } else {
      quoted += fmt::format("\\x{:02x}", byte);
    }
  }
  return quoted + (text.size() > max_bytes ? "...'" : "'");
}

}  // namespace tome
