// Any bytes: what ArchiveBlock::Parse accepts can be looked at everywhere, and is written as it was read. Blocks have
// no checksum of their own, so the fuzzer reaches everything. The first byte picks the layout.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/memory/archive.h"
#include "tests/fuzz/require.h"

namespace tome::testing {
namespace {

void Run(std::string_view data) {
  if (data.empty()) return;
  const int region_tokens[] = {8, 64, 17, 4096};
  const ArchiveLayout layout = {.region_tokens = region_tokens[data[0] & 3],
                                .vocab_size = (data[0] & 4) != 0 ? 300 : 70000,
                                .code_bytes = (data[0] & 8) != 0 ? 0 : 16};
  const std::string bytes(data.substr(1));
  const auto block = ArchiveBlock::Parse(layout, bytes);
  if (!block.ok()) return;
  Require((*block)->bytes() == bytes, "the bytes changed");
  std::uint64_t begin = (*block)->begin();
  for (int i = 0; i < (*block)->num_tokens(); ++i) {
    Require((*block)->token(i) >= 0 && (*block)->token(i) < layout.vocab_size, "a token is outside the vocabulary");
    const TokenSpan span = (*block)->Span(i, i + 1);
    Require(span.begin == begin, "the spans of tokens do not follow each other");
    begin += span.num_bytes;
  }
  Require(begin == (*block)->end(), "the last token ends elsewhere than the block");
  std::uint32_t sum = 0;
  for (int region = 0; region < (*block)->num_regions(); ++region) {
    for (const std::uint32_t stem : (*block)->Stems(region)) sum += stem;
  }
  for (int i = 0; i < (*block)->num_tokens() * layout.code_bytes; ++i) sum += (*block)->codes()[i];
  volatile std::uint32_t read = sum;  // so that the reads are not left out
  (void)read;
}

}  // namespace
}  // namespace tome::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
