#include "engine/memory/archive.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/status.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"
#include "engine/text/words/word_stems.h"

namespace tome {
namespace {

constexpr std::size_t kHeaderBytes = 28;
constexpr std::size_t kLanguagesAt = 24;
constexpr std::uint32_t kLongToken = 255;
// Of the block before, that are looked at for words which end in the next one.
constexpr int kContextTokens = 128;
constexpr int kContextWords = 4;  // beside them what a hyphen divides

struct StemsOfBlock {
  TextLanguages languages;
  std::vector<std::vector<std::uint32_t>> regions;
};

// The last words of a block. Scripts without spaces are cut anywhere.
std::string LastWords(const ArchiveBlock& block, const Tokenizer& tokenizer) {
  std::string text;
  for (int i = std::max(0, block.num_tokens() - kContextTokens); i < block.num_tokens(); ++i) {
    text += tokenizer.TokenBytes(block.token(i));
  }
  std::size_t at = text.size();
  for (int words = 0; words < kContextWords && at > 0; ++words) {
    at = text.find_last_not_of(" \t\r\n", at - 1);
    if (at != std::string::npos) at = text.find_last_of(" \t\r\n", at);
    if (at == std::string::npos) return text;
  }
  return text.substr(at);
}

// The stems of each region: of the words that touch it.
StemsOfBlock StemsOf(const ArchiveLayout& layout, absl::Span<const TokenId> tokens, const Tokenizer& tokenizer,
                     const ArchiveBlock* before) {
  std::string text = before == nullptr ? "" : LastWords(*before, tokenizer);
  const std::size_t context = text.size();
  std::vector<std::size_t> region_ends;  // in `text`
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    text += tokenizer.TokenBytes(tokens[i]);
    if ((i + 1) % layout.region_tokens == 0 || i + 1 == tokens.size()) region_ends.push_back(text.size());
  }
  thread_local WordStemmer stemmer;
  const WordStemmer::Analysis words =
      stemmer.AnalyzeText(text, before == nullptr ? TextLanguages() : before->languages());
  StemsOfBlock stems{.languages = words.languages, .regions = {}};
  stems.regions.resize(region_ends.size());
  std::size_t region = 0;
  for (const WordStem& word : words.stems) {
    if (word.end <= context) continue;
    while (region_ends[region] <= word.begin) ++region;
    for (std::size_t r = region; r == region || (r < region_ends.size() && region_ends[r - 1] < word.end); ++r) {
      stems.regions[r].push_back(word.hash);
    }
  }
  return stems;
}

}  // namespace

void ArchiveBlock::SetOffsets(const ArchiveLayout& layout, std::uint32_t num_stems, std::uint32_t num_long) {
  const auto tokens = static_cast<std::size_t>(num_tokens_);
  region_tokens_ = layout.region_tokens;
  num_regions_ = (num_tokens_ + region_tokens_ - 1) / region_tokens_;
  wide_ids_ = layout.id_bytes() == 4;
  num_long_ = num_long;
  stem_ends_ = kHeaderBytes;
  stems_ = stem_ends_ + 4 * static_cast<std::size_t>(num_regions_);
  long_tokens_ = stems_ + 4 * static_cast<std::size_t>(num_stems);
  ids_ = long_tokens_ + 8 * static_cast<std::size_t>(num_long);
  lengths_ = ids_ + tokens * static_cast<std::size_t>(layout.id_bytes());
  codes_ = lengths_ + tokens;
  size_ = codes_ + tokens * static_cast<std::size_t>(layout.code_bytes);
}

void ArchiveBlock::SetBytes(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  bytes_ = *owner;
  owner_ = std::move(owner);
}

std::shared_ptr<const ArchiveBlock> ArchiveBlock::MovedTo(std::shared_ptr<const void> owner,
                                                          std::string_view bytes) const {
  auto moved = std::shared_ptr<ArchiveBlock>(new ArchiveBlock(*this));
  moved->owner_ = std::move(owner);
  moved->bytes_ = bytes;
  return moved;
}

std::shared_ptr<const ArchiveBlock> ArchiveBlock::Make(const ArchiveLayout& layout, absl::Span<const TokenId> tokens,
                                                       absl::Span<const TokenSpan> spans, std::string_view codes,
                                                       const Tokenizer& tokenizer, const ArchiveBlock* before) {
  const bool goes_on =
      before != nullptr && before->document() == spans.front().document && before->end() == spans.front().begin;
  const StemsOfBlock stems = StemsOf(layout, tokens, tokenizer, goes_on ? before : nullptr);
  std::uint32_t num_stems = 0;
  ByteWriter stem_ends, long_tokens;
  for (const auto& region : stems.regions) stem_ends.Write<std::uint32_t>(num_stems += region.size());
  std::string lengths;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    lengths.push_back(static_cast<char>(std::min(spans[i].num_bytes, kLongToken)));
    if (spans[i].num_bytes < kLongToken) continue;
    long_tokens.Write<std::uint32_t>(i);
    long_tokens.Write<std::uint32_t>(spans[i].num_bytes);
  }
  const auto num_long = static_cast<std::uint32_t>(long_tokens.size() / 8);

  auto block = std::shared_ptr<ArchiveBlock>(new ArchiveBlock);
  block->num_tokens_ = static_cast<int>(tokens.size());
  block->document_ = spans.front().document;
  block->begin_ = spans.front().begin;
  block->end_ = spans.back().begin + spans.back().num_bytes;
  block->languages_ = stems.languages;
  block->SetOffsets(layout, num_stems, num_long);
  ByteWriter writer;
  writer.Reserve(block->size_);
  writer.Write<std::uint32_t>(tokens.size());
  writer.Write<std::uint32_t>(spans.front().document);
  writer.Write<std::uint64_t>(spans.front().begin);
  writer.Write<std::uint32_t>(num_stems);
  writer.Write<std::uint32_t>(num_long);
  writer.Write<std::uint32_t>(stems.languages.Packed());
  writer.WriteBytes(stem_ends.bytes());
  for (const auto& region : stems.regions) {
    for (const std::uint32_t stem : region) writer.Write<std::uint32_t>(stem);
  }
  writer.WriteBytes(long_tokens.bytes());
  for (const TokenId token : tokens) {
    if (layout.id_bytes() == 2) {
      writer.Write<std::uint16_t>(static_cast<std::uint16_t>(token));
    } else {
      writer.Write<std::int32_t>(token);
    }
  }
  writer.WriteBytes(lengths);
  writer.WriteBytes(codes);
  block->SetBytes(std::move(writer).Take());
  return block;
}

absl::StatusOr<std::shared_ptr<const ArchiveBlock>> ArchiveBlock::Parse(const ArchiveLayout& layout,
                                                                        std::string bytes) {
  ByteReader reader(bytes, "archive block", absl::StatusCode::kDataLoss);
  TOME_ASSIGN_OR_RETURN(const std::uint32_t tokens, reader.Read<std::uint32_t>("tokens"));
  TOME_ASSIGN_OR_RETURN(const std::uint32_t document, reader.Read<std::uint32_t>("document"));
  TOME_ASSIGN_OR_RETURN(const std::uint64_t begin, reader.Read<std::uint64_t>("begin"));
  TOME_ASSIGN_OR_RETURN(const std::uint32_t stems, reader.Read<std::uint32_t>("stems"));
  TOME_ASSIGN_OR_RETURN(const std::uint32_t long_tokens, reader.Read<std::uint32_t>("long tokens"));
  TOME_ASSIGN_OR_RETURN(const std::uint32_t packed, reader.Read<std::uint32_t>("languages"));
  const std::optional<TextLanguages> languages = TextLanguages::Unpack(packed);
  if (!languages) return DataLoss("archive block: {:#x} stands for no languages", packed);
  if (tokens == 0 || tokens > bytes.size())
    return DataLoss("archive block: {} tokens in {} bytes", tokens, bytes.size());
  auto block = std::shared_ptr<ArchiveBlock>(new ArchiveBlock);
  block->num_tokens_ = static_cast<int>(tokens);
  block->document_ = document;
  block->begin_ = begin;
  block->languages_ = *languages;
  block->SetOffsets(layout, stems, long_tokens);
  if (block->size_ != bytes.size()) {
    return DataLoss("archive block: expected {} bytes for {} tokens, {} stems and {} long ones, found {}", block->size_,
                    tokens, stems, long_tokens, bytes.size());
  }
  block->SetBytes(std::move(bytes));
  const std::string_view data = block->bytes_;
  const auto* ends = reinterpret_cast<const std::uint32_t*>(data.data() + block->stem_ends_);
  if (!std::is_sorted(ends, ends + block->num_regions_) || ends[block->num_regions_ - 1] != stems) {
    return DataLoss("archive block: the stems of its regions do not end at {}", stems);
  }
  for (int i = 0; i < block->num_tokens_; ++i) {
    if (block->token(i) >= 0 && block->token(i) < layout.vocab_size) continue;
    return DataLoss("archive block: token {} is outside the vocabulary of {}", block->token(i), layout.vocab_size);
  }
  const auto* pairs = reinterpret_cast<const std::uint32_t*>(data.data() + block->long_tokens_);
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < tokens; ++i) {
    if (static_cast<unsigned char>(data[block->lengths_ + i]) != kLongToken) continue;
    if (found == long_tokens || pairs[2 * found] != i || pairs[2 * found + 1] < kLongToken) {
      return DataLoss("archive block: token {} has no length", i);
    }
    ++found;
  }
  if (found != long_tokens) return DataLoss("archive block: {} of {} long tokens found", found, long_tokens);
  const TokenSpan whole = block->Span(0, block->num_tokens_);
  block->end_ = whole.begin + whole.num_bytes;
  if (block->end_ < begin) return DataLoss("archive block: begins at {}", begin);
  return block;
}

absl::StatusOr<std::shared_ptr<const ArchiveBlock>> ArchiveBlock::ParseWithoutLanguages(const ArchiveLayout& layout,
                                                                                        std::string bytes) {
  if (bytes.size() < kLanguagesAt) return DataLoss("archive block: {} bytes, too few for its header", bytes.size());
  ByteWriter languages;
  languages.Write<std::uint32_t>(TextLanguages().Packed());
  bytes.insert(kLanguagesAt, languages.bytes());
  return Parse(layout, std::move(bytes));
}

std::shared_ptr<const ArchiveBlock> ArchiveBlock::WithNewStems(const ArchiveLayout& layout, const Tokenizer& tokenizer,
                                                               const ArchiveBlock* before) const {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
  ByteOffset begin = begin_;
  for (int i = 0; i < num_tokens_; ++i) {
    tokens.push_back(token(i));
    spans.push_back({.document = document_, .num_bytes = Length(i), .begin = begin});
    begin += Length(i);
  }
  return Make(layout, tokens, spans, bytes_.substr(codes_, size_ - codes_), tokenizer, before);
}

std::uint32_t ArchiveBlock::Length(int index) const {
  const auto length = static_cast<unsigned char>(bytes_[lengths_ + static_cast<std::size_t>(index)]);
  if (length != kLongToken) return length;
  const auto* pairs = reinterpret_cast<const std::uint32_t*>(bytes_.data() + long_tokens_);
  std::uint32_t i = 0;
  while (pairs[2 * i] != static_cast<std::uint32_t>(index)) ++i;
  return pairs[2 * i + 1];
}

TokenSpan ArchiveBlock::Span(int first, int end) const {
  TokenSpan span{.document = document_, .num_bytes = 0, .begin = begin_};
  for (int i = 0; i < first; ++i) span.begin += Length(i);
  for (int i = first; i < end; ++i) span.num_bytes += Length(i);
  return span;
}

absl::Span<const std::uint32_t> ArchiveBlock::Stems(int region) const {
  const auto* ends = reinterpret_cast<const std::uint32_t*>(bytes_.data() + stem_ends_);
  const auto* stems = reinterpret_cast<const std::uint32_t*>(bytes_.data() + stems_);
  const std::uint32_t first = region == 0 ? 0 : ends[region - 1];
  return {stems + first, ends[region] - first};
}

void Archive::Append(std::shared_ptr<const ArchiveBlock> block) {
  Entry entry{.block = std::move(block), .first_region = num_regions_};
  num_tokens_ += entry.block->num_tokens();
  num_regions_ += entry.block->num_regions();
  bytes_ += entry.block->bytes().size();
  auto shelf = std::make_shared<Shelf>();
  const bool begins = num_blocks_ % kShelfBlocks == 0;
  if (!begins) *shelf = *shelves_.back();
  shelf->push_back(std::move(entry));
  if (begins) {
    shelves_.push_back(std::move(shelf));
  } else {
    shelves_.back() = std::move(shelf);
  }
  ++num_blocks_;
  if (spill_ != nullptr) SpillIfFull();
}

std::size_t Archive::resident_bytes() const {
  // With the headers of three allocations: the block, its bytes, and where they are.
  constexpr std::size_t kBytesOfBlock = sizeof(Entry) + sizeof(ArchiveBlock) + sizeof(std::string) + 3 * 32;
  return bytes_ - spilled_bytes_ + static_cast<std::size_t>(num_blocks_) * kBytesOfBlock;
}

void Archive::SpillIfFull() {
  const std::size_t budget = spill_->resident_bytes(), least = budget / 8;
  const auto end_spill = [&] {
    if (spill_job_ && (spill_job_->job->done() || resident_bytes() > budget)) EndSpill();
  };
  end_spill();
  const std::size_t most = spill_->has_executor() ? budget - least : budget;
  if (!spill_job_ && resident_bytes() > std::max(most, retry_bytes_)) BeginSpill(/*goal=*/most - least);
  end_spill();
}

void Archive::BeginSpill(std::size_t goal) {
  struct Owner {
    std::shared_ptr<SpillFolder> folder;
    std::vector<std::shared_ptr<const ArchiveBlock>> blocks;
  };
  const auto owner = std::make_shared<Owner>();
  owner->folder = spill_;
  std::vector<std::string_view> pieces;
  std::size_t moving = 0;
  for (std::int64_t i = num_spilled_; i < num_blocks_ && moving + goal < resident_bytes(); ++i) {
    owner->blocks.push_back(entry(i).block);
    pieces.push_back(owner->blocks.back()->bytes());
    moving += pieces.back().size();
  }
  if (moving < spill_->resident_bytes() / 8) return;  // mostly what finds the blocks, which stays
  spill_job_ = Spill{.job = spill_->Begin(std::move(pieces), owner), .bytes = moving};
}

void Archive::EndSpill() {
  const Spill spill = *std::exchange(spill_job_, std::nullopt);
  const absl::StatusOr<SpilledPieces> spilled = spill.job->Wait();
  retry_bytes_ = spilled.ok() ? 0 : resident_bytes() + spill_->resident_bytes() / 8;
  if (!spilled.ok()) return;
  std::shared_ptr<Shelf> shelf;
  for (const std::string_view piece : spilled->pieces) {
    const std::int64_t index = num_spilled_ % kShelfBlocks;
    if (shelf == nullptr || index == 0) {
      shelf = std::make_shared<Shelf>(*shelves_[num_spilled_ / kShelfBlocks]);
      shelves_[num_spilled_ / kShelfBlocks] = shelf;
    }
    Entry& entry = (*shelf)[index];
    entry.block = entry.block->MovedTo(spilled->file, piece);
    ++num_spilled_;
  }
  spilled_bytes_ += spill.bytes;
}

const ArchiveBlock& Archive::block(std::int64_t index) const { return *entry(index).block; }
std::int64_t Archive::first_region(std::int64_t block) const { return entry(block).first_region; }

ArchivedRegion Archive::region(std::int64_t region) const {
  const auto shelf = std::upper_bound(
      shelves_.begin(), shelves_.end(), region,
      [](std::int64_t value, const auto& candidate) { return value < candidate->front().first_region; });
  const Shelf& entries = **std::prev(shelf);
  const auto found = std::prev(
      std::upper_bound(entries.begin(), entries.end(), region,
                       [](std::int64_t value, const Entry& candidate) { return value < candidate.first_region; }));
  ArchivedRegion result{.block = found->block.get(), .index = static_cast<int>(region - found->first_region)};
  result.first = result.index * layout_.region_tokens;
  result.end = std::min(result.first + layout_.region_tokens, result.block->num_tokens());
  return result;
}

TokenSpan Archive::RegionSpan(std::int64_t first, std::int64_t end) const {
  const ArchivedRegion begin = region(first), last = region(end - 1);
  TokenSpan span = begin.block->Span(begin.first, begin.end);
  const TokenSpan last_span = last.block->Span(last.first, last.end);
  span.num_bytes = static_cast<std::uint32_t>(last_span.begin + last_span.num_bytes - span.begin);
  return span;
}

bool Archive::AreNeighbours(std::int64_t first, std::int64_t next) const {
  return next == first + 1 && region(first).block->document() == region(next).block->document();
}

std::vector<TokenId> Archive::RegionTokens(std::int64_t first, std::int64_t end) const {
  std::vector<TokenId> tokens;
  for (std::int64_t i = first; i < end; ++i) {
    const ArchivedRegion found = region(i);
    for (int k = found.first; k < found.end; ++k) tokens.push_back(found.block->token(k));
  }
  return tokens;
}

TokenSpan Archive::RunSpan(const RegionRun& run) const {
  TokenSpan span = RegionSpan(run.first, run.end);
  ByteOffset end = span.begin + span.num_bytes;
  if (run.before > 0) {
    const ArchivedRegion found = region(run.first - 1);
    span.begin = found.block->Span(found.end - run.before, found.end).begin;
  } else if (run.before < 0) {
    const ArchivedRegion found = region(run.first);
    span.begin += found.block->Span(found.first, found.first - run.before).num_bytes;
  }
  if (run.after > 0) {
    const ArchivedRegion found = region(run.end);
    end += found.block->Span(found.first, found.first + run.after).num_bytes;
  } else if (run.after < 0) {
    const ArchivedRegion found = region(run.end - 1);
    end -= found.block->Span(found.end + run.after, found.end).num_bytes;
  }
  span.num_bytes = static_cast<std::uint32_t>(end - span.begin);
  return span;
}

std::vector<TextToken> Archive::RunTokens(const RegionRun& run) const {
  const std::int64_t first = run.first - (run.before > 0 ? 1 : 0), end = run.end + (run.after > 0 ? 1 : 0);
  std::vector<TextToken> tokens;
  for (std::int64_t i = first; i < end; ++i) {
    const ArchivedRegion found = region(i);
    int from = found.first, until = found.end;
    if (i == first) from = run.before > 0 ? found.end - run.before : found.first - run.before;
    if (i == end - 1) until = run.after > 0 ? found.first + run.after : found.end + run.after;
    for (int k = from; k < until; ++k) tokens.push_back({found.block->token(k), found.block->Length(k)});
  }
  return tokens;
}

int Archive::NumTokens(const RegionRun& run) const {
  int tokens = run.before + run.after;
  for (std::int64_t i = run.first; i < run.end; ++i) tokens += region(i).end - region(i).first;
  return tokens;
}

std::vector<TokenId> Archive::Tokens(std::int64_t first, std::int64_t count) const {
  std::int64_t index = num_blocks_, begin = num_tokens_;
  while (begin > first) begin -= block(--index).num_tokens();
  std::vector<TokenId> tokens;
  for (; static_cast<std::int64_t>(tokens.size()) < count; begin += block(index++).num_tokens()) {
    const ArchiveBlock& own = block(index);
    const auto from = static_cast<int>(std::max<std::int64_t>(0, first - begin));
    const auto end = static_cast<int>(std::min<std::int64_t>(own.num_tokens(), first + count - begin));
    for (int i = from; i < end; ++i) tokens.push_back(own.token(i));
  }
  return tokens;
}

}  // namespace tome
