#include "engine/memory/state_format.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "engine/files/byte_stream.h"
#include "engine/files/byte_writer.h"
#include "engine/memory/memory.h"
#include "engine/memory/memory_state.h"
#include "engine/model/guard.h"
#include "engine/model/llama_model.h"
#include "engine/text/words/word_stems.h"

namespace tome {
namespace {

// The longest text of a header, and the longest block of an archive, that can be meant.
constexpr std::uint64_t kMaxTextBytes = 1024;
constexpr std::uint64_t kMaxBlockBytes = std::uint64_t{1} << 30;

// What a state's header must say to fit a model, in the order in which it is written.
void WriteIdentity(const Model& model, ByteWriter* writer) {
  const ModelInfo& info = model.info();
  writer->WriteString(info.model_digest);
  writer->WriteString(info.tokenizer_digest);
  writer->WriteString(RoutingCodesDigest(model.profile()));
  writer->WriteString(PrecisionName(info.precision));
  writer->Write<std::uint64_t>(info.config.num_layers);
  writer->Write<std::uint64_t>(info.config.num_kv_heads);
  writer->Write<std::uint64_t>(info.config.head_dim);
}

absl::Status ExpectText(SourceReader* reader, std::string_view field, std::string_view expected) {
  TOME_ASSIGN_OR_RETURN(const std::string_view found, reader->ReadString(kMaxTextBytes, field));
  if (found == expected) return absl::OkStatus();
  return FailedPrecondition("state: {}: the state has '{}', the model in use '{}'", field, found, expected);
}

absl::Status ExpectNumber(SourceReader* reader, std::string_view field, std::int64_t expected) {
  TOME_ASSIGN_OR_RETURN(const std::uint64_t found, reader->Read<std::uint64_t>(field));
  if (found == static_cast<std::uint64_t>(expected)) return absl::OkStatus();
  return FailedPrecondition("state: {}: the state has {}, the model in use {}", field, found, expected);
}

absl::Status CheckIdentity(const Model& model, SourceReader* reader) {
  const ModelInfo& info = model.info();
  TOME_RETURN_IF_ERROR(ExpectText(reader, "model digest", info.model_digest));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "tokenizer digest", info.tokenizer_digest));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "routing codes", RoutingCodesDigest(model.profile())));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "precision", PrecisionName(info.precision)));
  TOME_RETURN_IF_ERROR(ExpectNumber(reader, "layers", info.config.num_layers));
  TOME_RETURN_IF_ERROR(ExpectNumber(reader, "key-value heads", info.config.num_kv_heads));
  return ExpectNumber(reader, "head dimension", info.config.head_dim);
}

std::string_view RawBytes(const at::Tensor& contiguous) {
  return {static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()};
}

template <typename Value>
absl::Status ReadEnum(SourceReader* reader, std::string_view field, Value last, Value* value) {
  TOME_ASSIGN_OR_RETURN(const std::int32_t found, reader->Read<std::int32_t>(field));
  if (found < 0 || found > static_cast<std::int32_t>(last)) return DataLoss("state: {}: unknown {}", field, found);
  *value = static_cast<Value>(found);
  return absl::OkStatus();
}

void WriteOptions(const MemoryOptions& options, ByteWriter* writer) {
  const RegionMemoryOptions& regions = options.regions;
  for (const int option : {options.sink_tokens, options.window_tokens, options.segment_tokens, options.region_tokens,
                           regions.selected, regions.query_region_tokens, regions.merge, regions.route_every,
                           regions.ring_regions, regions.pool_regions, static_cast<int>(regions.retention),
                           static_cast<int>(regions.compression), static_cast<int>(regions.precision)}) {
    writer->Write<std::int32_t>(option);
  }
  writer->WriteString(options.attention);
  writer->WriteString(options.position_encoding);
}

absl::Status ReadOptions(SourceReader* reader, MemoryOptions* options) {
  RegionMemoryOptions& regions = options->regions;
  for (int* option : {&options->sink_tokens, &options->window_tokens, &options->segment_tokens, &options->region_tokens,
                      &regions.selected, &regions.query_region_tokens, &regions.merge, &regions.route_every,
                      &regions.ring_regions, &regions.pool_regions}) {
    TOME_ASSIGN_OR_RETURN(*option, reader->Read<std::int32_t>("options"));
  }
  TOME_RETURN_IF_ERROR(ReadEnum(reader, "retention score", RetentionScore::kRandom, &regions.retention));
  TOME_RETURN_IF_ERROR(ReadEnum(reader, "region compression", RegionCompression::kMerge, &regions.compression));
  TOME_RETURN_IF_ERROR(ReadEnum(reader, "region precision", RegionPrecision::kInt8, &regions.precision));
  TOME_ASSIGN_OR_RETURN(options->attention, reader->ReadString(kMaxTextBytes, "attention"));
  TOME_ASSIGN_OR_RETURN(options->position_encoding, reader->ReadString(kMaxTextBytes, "position encoding"));
  return absl::OkStatus();
}

struct StateHeader {
  std::uint32_t version = kStateVersion;
  std::string stems_version;
  MemoryOptions options;
  std::int64_t tokens_read = 0;
  std::int64_t sink_tokens = 0;
  std::int64_t window_tokens = 0;
  std::int64_t regions = 0;
  std::int64_t pooled_queries = 0;
  std::int64_t archive_blocks = 0;
};

absl::StatusOr<StateHeader> ReadHeader(const Model& model, SourceReader* reader) {
  TOME_ASSIGN_OR_RETURN(const std::string_view magic, reader->ReadBytes(kStateMagic.size(), "magic"));
  if (magic != kStateMagic) return DataLoss("state: magic: this is not a Tome state");
  StateHeader header;
  TOME_ASSIGN_OR_RETURN(header.version, reader->Read<std::uint32_t>("version"));
  if (header.version < kOldestStateVersion || header.version > kStateVersion) {
    return FailedPrecondition("state: version: the state has {}, this build reads {} to {}", header.version,
                              kOldestStateVersion, kStateVersion);
  }
  TOME_RETURN_IF_ERROR(CheckIdentity(model, reader));
  if (header.version > kOldestStateVersion) {
    TOME_ASSIGN_OR_RETURN(header.stems_version, reader->ReadString(kMaxTextBytes, "version of stems"));
  }
  TOME_RETURN_IF_ERROR(ReadOptions(reader, &header.options));
  for (std::int64_t* count : {&header.tokens_read, &header.sink_tokens, &header.window_tokens, &header.regions,
                              &header.pooled_queries, &header.archive_blocks}) {
    TOME_ASSIGN_OR_RETURN(*count, reader->Read<std::int64_t>("token counts"));
  }
  TOME_RETURN_IF_ERROR(reader->ExpectCrc(reader->crc(), "header checksum"));
  return header;
}

// A checksum guards against damage, not against a writer of nonsense.
absl::Status CheckHeader(const StateHeader& header, const LlamaConfig& config) {
  if (const absl::Status status = ValidateMemoryOptions(header.options, config); !status.ok()) {
    return DataLoss("state: {}", std::string(status.message()));
  }
  const MemoryOptions& options = header.options;
  const std::int64_t sink = std::min<std::int64_t>(header.tokens_read, options.sink_tokens);
  const std::int64_t after = header.tokens_read - sink;
  std::int64_t window = std::min<std::int64_t>(after, options.window_tokens), regions = 0, queries = 0;
  if (options.regions.selected > 0) {
    const std::int64_t left = (after - window) / options.region_tokens;
    window = after - left * options.region_tokens;
    regions = std::min<std::int64_t>(left, std::int64_t{options.regions.ring_regions} + options.regions.pool_regions);
    queries = header.tokens_read > 0 ? std::clamp<std::int64_t>(header.pooled_queries, 1, options.regions.merge) : 0;
  }
  if (header.tokens_read < 0 || header.sink_tokens != sink || header.window_tokens != window ||
      header.regions != regions || header.pooled_queries != queries) {
    return DataLoss(
        "state: token counts: {} read, {} in the sink, {} in the window, {} regions and {} pooled queries do not "
        "belong together",
        header.tokens_read, header.sink_tokens, header.window_tokens, header.regions, header.pooled_queries);
  }
  return absl::OkStatus();
}

absl::Status UnusableNumbers(std::string_view part) {
  return DataLoss("state: {}: numbers that cannot be computed with", part);
}

// Cuts tokens first .. of `all` into blocks that the window can later drop one by one.
std::vector<std::shared_ptr<const KeyValueBlock>> CutWindow(const KeyValueBlock& all, std::int64_t first,
                                                            std::int64_t block_tokens) {
  std::vector<std::shared_ptr<const KeyValueBlock>> window;
  std::int64_t count = (all.tokens() - first) % block_tokens;
  if (count == 0) count = block_tokens;
  for (; first < all.tokens(); first += count, count = block_tokens) {
    window.push_back(std::make_shared<const KeyValueBlock>(all.Slice(first, count)));
  }
  return window;
}

// --- Regions ---

std::string_view RawBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Hands the pieces to a sink, each with the checksum that follows it, until one is refused.
class PieceWriter {
 public:
  explicit PieceWriter(const ByteSink& sink) : sink_(sink) {}

  // The piece that is being made.
  ByteWriter& piece() { return piece_; }
  // Ends it: `checked` is what of it the checksum is of.
  absl::Status End(std::string_view checked) {
    piece_.Write<std::uint32_t>(Crc32c(checked));
    const ByteWriter whole = std::exchange(piece_, {});
    return sink_(whole.bytes());
  }
  absl::Status End() { return End(piece_.bytes()); }

 private:
  const ByteSink& sink_;
  ByteWriter piece_;
};

absl::Status WriteRegions(const RegionMemory& regions, PieceWriter* writer) {
  if (regions.queries().count > 0) {
    writer->piece().WriteBytes(RawBytes(regions.queries().values));
    TOME_RETURN_IF_ERROR(writer->End());
  }
  for (const RegionMemory::Entry& entry : regions.entries()) {
    const MemoryRegion& region = *entry.region;
    writer->piece().Write<std::int64_t>(region.first_token);
    writer->piece().Write<std::int64_t>(entry.selections);
    for (const at::Tensor& part :
         {region.block.keys(), region.block.values(), region.block.key_scales(), region.block.value_scales()}) {
      if (part.defined()) writer->piece().WriteBytes(RawBytes(part.cpu().contiguous()));
    }
    writer->piece().WriteBytes(RawBytes(region.token_scores));
    TOME_RETURN_IF_ERROR(writer->End());
  }
  return absl::OkStatus();
}

// A tensor of raw values that `bytes`, long enough, begins with; cuts them off.
at::Tensor TakeTensor(std::string_view* bytes, at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  const at::Tensor tensor = AllocateKept(shape, type, at::kCPU);
  std::copy_n(bytes->begin(), tensor.nbytes(), static_cast<char*>(tensor.mutable_data_ptr()));
  bytes->remove_prefix(tensor.nbytes());
  return tensor.to(device);
}

std::vector<float> TakeFloats(std::string_view* bytes, std::size_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes->data(), count * sizeof(float));
  bytes->remove_prefix(count * sizeof(float));
  return values;
}

at::ScalarType StoredType(RegionPrecision precision, at::ScalarType computed) {
  if (precision == RegionPrecision::kComputed) return computed;
  return precision == RegionPrecision::kBf16 ? at::kBFloat16 : at::kChar;
}

absl::StatusOr<RegionMemory::Entry> ReadRegion(const MemoryOptions& options, const LlamaWeights& weights,
                                               SourceReader* reader) {
  const LlamaConfig& config = weights.config;
  const RegionPrecision precision = options.regions.precision;
  const at::ScalarType type = StoredType(precision, weights.type);
  const std::size_t width = config.num_layers * config.num_kv_heads * config.head_dim;
  const std::size_t tokens = options.region_tokens, scales = precision == RegionPrecision::kInt8 ? 8 * width : 0;
  TOME_ASSIGN_OR_RETURN(
      std::string_view bytes,
      reader->ReadChecked(16 + 2 * width * tokens * at::elementSize(type) + scales + tokens * sizeof(float), "region"));
  auto region = std::make_shared<MemoryRegion>();
  RegionMemory::Entry entry;
  std::memcpy(&region->first_token, bytes.data(), 8);
  std::memcpy(&entry.selections, bytes.data() + 8, 8);
  bytes.remove_prefix(16);
  const std::int64_t shape[] = {config.num_layers, config.num_kv_heads, options.region_tokens, config.head_dim};
  const std::int64_t scale_shape[] = {config.num_layers, config.num_kv_heads, 1, config.head_dim};
  at::Tensor parts[4];
  for (int i = 0; i < 2; ++i) parts[i] = TakeTensor(&bytes, shape, type, weights.device);
  for (int i = 2; i < 4 && scales > 0; ++i) parts[i] = TakeTensor(&bytes, scale_shape, at::kFloat, weights.device);
  region->block = StoredBlock(parts[0], parts[1], parts[2], parts[3]);
  region->token_scores = TakeFloats(&bytes, tokens);
  for (const at::Tensor& part : parts) {
    if (part.defined() && part.scalar_type() != at::kChar && !AreUsable(part)) return UnusableNumbers("region");
  }
  if (!AreUsable(region->token_scores)) return UnusableNumbers("scores of a region");
  region->SetMeanKeys();
  entry.region = std::move(region);
  return entry;
}

absl::StatusOr<RegionMemory> ReadRegions(const StateHeader& header, const LlamaWeights& weights, SourceReader* reader) {
  const LlamaConfig& config = weights.config;
  PooledQueries queries{.count = header.pooled_queries, .values = {}};
  if (queries.count > 0) {
    const std::size_t size = queries.count * config.num_layers * config.num_kv_heads * config.head_dim;
    TOME_ASSIGN_OR_RETURN(std::string_view bytes, reader->ReadChecked(size * sizeof(float), "pooled queries"));
    queries.values = TakeFloats(&bytes, size);
    if (!AreUsable(queries.values)) return UnusableNumbers("pooled queries");
  }
  std::vector<RegionMemory::Entry> entries;
  std::int64_t after = header.sink_tokens - 1;
  for (std::int64_t i = 0; i < header.regions; ++i) {
    TOME_ASSIGN_OR_RETURN(entries.emplace_back(), ReadRegion(header.options, weights, reader));
    const std::int64_t first = entries.back().region->first_token, selections = entries.back().selections;
    if (first <= after || first >= header.tokens_read) {
      return DataLoss("state: region {}: begins at token {}, after one that begins at {}", i, first, after);
    }
    // Each segment adds at most one for each layer and region, and merged regions add up.
    if (selections < 0 || selections / config.num_layers / header.regions > header.tokens_read) {
      return DataLoss("state: region {}: chosen {} times by {} tokens", i, selections, header.tokens_read);
    }
    after = first;
  }
  return RegionMemory(header.options.regions, header.options.region_tokens, std::move(entries), std::move(queries));
}

absl::StatusOr<std::shared_ptr<const ArchiveBlock>> ReadBlock(const StateHeader& header, const ArchiveLayout& layout,
                                                              std::int64_t index, SourceReader* reader) {
  const std::string name = fmt::format("archive block {}", index);
  TOME_ASSIGN_OR_RETURN(const std::uint64_t size, reader->Read<std::uint64_t>(name));
  if (size > kMaxBlockBytes) return DataLoss("state: {}: {} bytes, more than {}", name, size, kMaxBlockBytes);
  TOME_ASSIGN_OR_RETURN(const std::string_view bytes, reader->ReadChecked(size, name));
  return header.version > kOldestStateVersion ? ArchiveBlock::Parse(layout, std::string(bytes))
                                              : ArchiveBlock::ParseWithoutLanguages(layout, std::string(bytes));
}

absl::Status ReadArchive(const StateHeader& header, const Tokenizer& tokenizer, const RestoreObserver& observer,
                         SourceReader* reader, Archive* archive) {
  const bool new_stems = header.stems_version != WordStemsVersion();
  for (std::int64_t i = 0; i < header.archive_blocks; ++i) {
    TOME_ASSIGN_OR_RETURN(auto block, ReadBlock(header, archive->layout(), i, reader));
    if (new_stems) block = block->WithNewStems(archive->layout(), tokenizer, archive->last_block());
    archive->Append(std::move(block));
    if (!new_stems || !observer) continue;
    TOME_RETURN_IF_ERROR(observer({.tokens = archive->num_tokens(), .of_tokens = header.tokens_read}));
  }
  if (archive->num_tokens() == header.tokens_read) return absl::OkStatus();
  return DataLoss("state: archive: {} tokens of {} that were read", archive->num_tokens(), header.tokens_read);
}

absl::Status WriteState(const Memory& memory, const ByteSink& sink) {
  const Model& model = *memory.model();
  const MemoryState& state = *memory.state();
  PieceWriter writer(sink);
  writer.piece().WriteBytes(kStateMagic);
  writer.piece().Write<std::uint32_t>(kStateVersion);
  WriteIdentity(model, &writer.piece());
  writer.piece().WriteString(WordStemsVersion());
  WriteOptions(memory.options(), &writer.piece());
  for (const std::int64_t count :
       {state.tokens_read(), state.sink_tokens(), state.window_tokens(), state.regions().size(),
        state.regions().queries().count, state.archive().num_blocks()}) {
    writer.piece().Write<std::int64_t>(count);
  }
  TOME_RETURN_IF_ERROR(writer.End());
  for (std::int64_t layer = 0; layer < model.info().config.num_layers && state.tokens_kept() > 0; ++layer) {
    for (at::Tensor KeyValueBlock::* part : {&KeyValueBlock::keys, &KeyValueBlock::values}) {
      std::vector<at::Tensor> pieces;
      for (const KeyValueBlock* block : state.blocks()) pieces.push_back((block->*part).select(0, layer));
      writer.piece().WriteBytes(RawBytes(at::cat(pieces, 1).cpu().contiguous()));
    }
    TOME_RETURN_IF_ERROR(writer.End());
  }
  TOME_RETURN_IF_ERROR(WriteRegions(state.regions(), &writer));
  for (std::int64_t i = 0; i < state.archive().num_blocks(); ++i) {
    const std::string_view block = state.archive().block(i).bytes();
    writer.piece().WriteString(block);
    TOME_RETURN_IF_ERROR(writer.End(block));
  }
  return absl::OkStatus();
}

absl::StatusOr<Memory> ParseState(const std::shared_ptr<const Model>& model, SizedByteSource& source,
                                  const RestoreObserver& observer) {
  const LlamaWeights& weights = LlamaModel::From(*model).weights();
  const LlamaConfig& config = weights.config;
  SourceReader reader(source, "state");
  TOME_ASSIGN_OR_RETURN(const StateHeader header, ReadHeader(*model, &reader));
  TOME_RETURN_IF_ERROR(CheckHeader(header, config));
  TOME_ASSIGN_OR_RETURN(std::shared_ptr<const Model> own,
                        LlamaModel::WithEncoding(model, header.options.position_encoding));
  const std::int64_t kept = header.sink_tokens + header.window_tokens;
  Archive archive(ArchiveLayoutOf(*model, header.options), model->spill_folder());
  if (kept == 0) {
    TOME_RETURN_IF_ERROR(reader.ExpectEnd());
    return Memory(std::move(own), std::make_shared<const MemoryState>(header.options, archive));
  }
  KeyValueBlock all = KeyValueBlock::Allocate(config, kept, weights.type, at::kCPU);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    const at::Tensor keys = all.keys.select(0, layer), values = all.values.select(0, layer);
    TOME_ASSIGN_OR_RETURN(const std::string_view data,
                          reader.ReadChecked(keys.nbytes() + values.nbytes(), fmt::format("layer {}", layer)));
    std::copy(data.begin(), data.begin() + keys.nbytes(), static_cast<char*>(keys.mutable_data_ptr()));
    std::copy(data.begin() + keys.nbytes(), data.end(), static_cast<char*>(values.mutable_data_ptr()));
  }
  if (!AreUsable(all.keys) || !AreUsable(all.values)) return UnusableNumbers("keys and values");
  TOME_ASSIGN_OR_RETURN(RegionMemory regions, ReadRegions(header, weights, &reader));
  TOME_RETURN_IF_ERROR(ReadArchive(header, *model->tokenizer(), observer, &reader, &archive));
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  all.keys = all.keys.to(weights.device);
  all.values = all.values.to(weights.device);
  std::shared_ptr<const KeyValueBlock> sink;
  if (header.sink_tokens > 0) sink = std::make_shared<const KeyValueBlock>(all.Slice(0, header.sink_tokens));
  return Memory(std::move(own),
                std::make_shared<const MemoryState>(header.options, header.tokens_read, std::move(sink),
                                                    CutWindow(all, header.sink_tokens, header.options.segment_tokens),
                                                    std::move(regions), std::move(archive)));
}

}  // namespace

absl::Status Memory::Serialize(const ByteSink& sink) const {
  return Guarded([&] { return WriteState(*this, sink); });
}

absl::StatusOr<Memory> Memory::Parse(std::shared_ptr<const Model> model, SizedByteSource& source,
                                     const RestoreObserver& observer) {
  return Guarded([&] { return ParseState(model, source, observer); });
}

}  // namespace tome
