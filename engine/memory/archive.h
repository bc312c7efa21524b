// What is kept of everything that was read: of each segment its token ids, where their bytes are, the stems of its
// words, and routing codes (model_profile.h). About 25 bytes a token, appended segment by segment, never changed.
//
// A segment is cut into regions of `region_tokens` tokens, the last one as short as it comes, so regions never span
// documents. Regions are numbered from 0 in reading order. Segments and regions tile the bytes of each document.
#ifndef TOME_ENGINE_MEMORY_ARCHIVE_H_
#define TOME_ENGINE_MEMORY_ARCHIVE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/files/spill_folder.h"
#include "engine/memory/memory_options.h"
#include "engine/memory/read_range.h"
#include "engine/memory/region_run.h"
#include "engine/model/model.h"
#include "engine/text/tokenizer.h"
#include "engine/text/words/languages.h"

namespace tome {

// How blocks are written; the same for all blocks of an archive.
struct ArchiveLayout {
  int region_tokens = 64;
  int vocab_size = 0;  // ids take 2 bytes up to 65,536 tokens, else 4
  int code_bytes = 0;  // of routing codes for each token

  int id_bytes() const { return vocab_size <= 65536 ? 2 : 4; }
  friend bool operator==(const ArchiveLayout&, const ArchiveLayout&) = default;
};

// The layout of the archives of a model's memories.
ArchiveLayout ArchiveLayoutOf(const Model& model, const MemoryOptions& options);

// One segment. Immutable; the bytes are its serialized form:
//   u32 tokens n, u32 document, u64 begin, u32 stems s, u32 long tokens l, u32 languages (TextLanguages)
//   u32[regions]       where the stems of each region end
//   u32[s]             stems, in text order; a word in two regions counts in both
//   (u32, u32)[l]      index and bytes of tokens that stand for 255 bytes or more
//   u16 or u32[n]      token ids
//   u8[n]              bytes of each token, 255 for long ones
//   u8[n code_bytes]   routing codes
class ArchiveBlock {
 public:
  // `spans` and `codes` belong to `tokens`, at least one; spans follow each other in one document. `before`: the block
  // before it, if there is one. Where this one goes on with its text, a word that begins there and ends here counts
  // here, whole; the block before it has the part that it knew.
  static std::shared_ptr<const ArchiveBlock> Make(const ArchiveLayout& layout, absl::Span<const TokenId> tokens,
                                                  absl::Span<const TokenSpan> spans, std::string_view codes,
                                                  const Tokenizer& tokenizer, const ArchiveBlock* before = nullptr);
  // Takes serialized bytes after checking all counts, sizes and ids. DATA_LOSS tells what is wrong.
  static absl::StatusOr<std::shared_ptr<const ArchiveBlock>> Parse(const ArchiveLayout& layout, std::string bytes);
  // The same of a block as it was written before version 5 of the state, which had no languages. Its stems are of no
  // use; see WithNewStems.
  static absl::StatusOr<std::shared_ptr<const ArchiveBlock>> ParseWithoutLanguages(const ArchiveLayout& layout,
                                                                                   std::string bytes);

  // The block that Make would make of the same tokens.
  std::shared_ptr<const ArchiveBlock> WithNewStems(const ArchiveLayout& layout, const Tokenizer& tokenizer,
                                                   const ArchiveBlock* before) const;

  // The same block, of which these bytes, equal to its own, are kept by `owner`.
  std::shared_ptr<const ArchiveBlock> MovedTo(std::shared_ptr<const void> owner, std::string_view bytes) const;

  std::string_view bytes() const { return bytes_; }
  int num_tokens() const { return num_tokens_; }
  int num_regions() const { return num_regions_; }
  std::uint32_t document() const { return document_; }
  ByteOffset begin() const { return begin_; }
  ByteOffset end() const { return end_; }

  TokenId token(int index) const {
    if (!wide_ids_) return reinterpret_cast<const std::uint16_t*>(bytes_.data() + ids_)[index];
    return reinterpret_cast<const TokenId*>(bytes_.data() + ids_)[index];
  }
  // Bytes that a token stands for.
  std::uint32_t Length(int index) const;
  // Where the bytes of tokens first .. end - 1 are.
  TokenSpan Span(int first, int end) const;
  // That its words were stemmed by.
  const TextLanguages& languages() const { return languages_; }
  // Stems of a region of this block.
  absl::Span<const std::uint32_t> Stems(int region) const;
  // Routing codes [n, code_bytes].
  const std::uint8_t* codes() const { return reinterpret_cast<const std::uint8_t*>(bytes_.data() + codes_); }

 private:
  ArchiveBlock() = default;
  void SetBytes(std::string bytes);
  void SetOffsets(const ArchiveLayout& layout, std::uint32_t num_stems, std::uint32_t num_long);

  std::shared_ptr<const void> owner_;  // of bytes_
  std::string_view bytes_;
  int num_tokens_ = 0, num_regions_ = 0, region_tokens_ = 0;
  bool wide_ids_ = false;
  std::uint32_t document_ = 0, num_long_ = 0;
  ByteOffset begin_ = 0, end_ = 0;
  TextLanguages languages_;
  // Where the sections begin in bytes_.
  std::size_t stem_ends_ = 0, stems_ = 0, long_tokens_ = 0, ids_ = 0, lengths_ = 0, codes_ = 0, size_ = 0;
};

// A region and its place in its block.
struct ArchivedRegion {
  const ArchiveBlock* block = nullptr;
  int index = 0;           // in the block
  int first = 0, end = 0;  // tokens of the block
};

// A value: copies share all full shelves, so that a copy costs a few pointers. Copies may be used from different
// threads.
//
// With a spill folder the oldest blocks move to a file whenever more than the folder's resident_bytes are held in
// memory: enough of them that an eighth of it is free again, in one file. Nothing else changes by that. What finds the
// blocks, about 330 bytes for each, stays in memory, also when it alone is more than that. Copies made before keep the
// blocks that they have in memory. When the file cannot be written all stays as it is until another eighth has come.
// Where the folder has an executor, blocks begin to move when an eighth is still free, and have moved with one of the
// next calls of Append; it waits for the disk only when all of the memory is taken before that.
class Archive {
 public:
  // `spill`: null when all blocks stay in memory.
  explicit Archive(const ArchiveLayout& layout, std::shared_ptr<SpillFolder> spill = nullptr)
      : layout_(layout), spill_(std::move(spill)) {}

  const ArchiveLayout& layout() const { return layout_; }
  std::int64_t num_tokens() const { return num_tokens_; }
  std::int64_t num_regions() const { return num_regions_; }
  std::int64_t num_blocks() const { return num_blocks_; }
  std::size_t bytes() const { return bytes_; }
  std::size_t spilled_bytes() const { return spilled_bytes_; }
  // Of blocks in memory, and of what is kept for each block wherever it is.
  std::size_t resident_bytes() const;

  void Append(std::shared_ptr<const ArchiveBlock> block);

  // 0 <= index < num_blocks().
  const ArchiveBlock& block(std::int64_t index) const;
  // Null when there is none.
  const ArchiveBlock* last_block() const { return num_blocks_ == 0 ? nullptr : &block(num_blocks_ - 1); }
  // The number of a block's first region.
  std::int64_t first_region(std::int64_t block) const;
  // 0 <= region < num_regions().
  ArchivedRegion region(std::int64_t region) const;

  // The bytes of a document that regions first .. end - 1, of one document, stand for.
  TokenSpan RegionSpan(std::int64_t first, std::int64_t end) const;
  // Whether both regions are of one document and follow each other.
  bool AreNeighbours(std::int64_t region, std::int64_t next) const;
  std::vector<TokenId> RegionTokens(std::int64_t first, std::int64_t end) const;
  // The same of the text of a run, at least one token.
  TokenSpan RunSpan(const RegionRun& run) const;
  std::vector<TextToken> RunTokens(const RegionRun& run) const;
  int NumTokens(const RegionRun& run) const;
  // Tokens first .. first + count - 1 of all, near the end: the cost grows with the tokens that follow.
  std::vector<TokenId> Tokens(std::int64_t first, std::int64_t count) const;

 private:
  static constexpr std::int64_t kShelfBlocks = 256;
  struct Entry {
    std::shared_ptr<const ArchiveBlock> block;
    std::int64_t first_region = 0;
  };
  using Shelf = std::vector<Entry>;
  const Entry& entry(std::int64_t block) const { return (*shelves_[block / kShelfBlocks])[block % kShelfBlocks]; }

  // Blocks that are being written to a file.
  struct Spill {
    std::shared_ptr<const SpillJob> job;
    std::size_t bytes = 0;
  };
  void SpillIfFull();
  void BeginSpill(std::size_t goal);
  void EndSpill();

  ArchiveLayout layout_;
  std::shared_ptr<SpillFolder> spill_;
  std::vector<std::shared_ptr<const Shelf>> shelves_;
  std::int64_t num_tokens_ = 0, num_regions_ = 0, num_blocks_ = 0;
  std::size_t bytes_ = 0;
  std::int64_t num_spilled_ = 0;  // the first blocks
  std::size_t spilled_bytes_ = 0;
  std::optional<Spill> spill_job_;
  std::size_t retry_bytes_ = 0;  // after a failure: how much is resident when the next file is tried
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_ARCHIVE_H_
