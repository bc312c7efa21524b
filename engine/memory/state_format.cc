#include "engine/memory/state_format.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/byte_reader.h"
#include "engine/base/byte_writer.h"
#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "engine/memory/memory_state.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

// What a state's header must say to fit a model, in the order in which it is written.
void WriteIdentity(const ModelInfo& info, ByteWriter* writer) {
  writer->WriteString(info.model_digest);
  writer->WriteString(info.tokenizer_digest);
  writer->WriteString(info.profile_digest);
  writer->WriteString(PrecisionName(info.precision));
  writer->Write<std::uint64_t>(info.config.num_layers);
  writer->Write<std::uint64_t>(info.config.num_kv_heads);
  writer->Write<std::uint64_t>(info.config.head_dim);
}

absl::Status ExpectText(ByteReader* reader, std::string_view field, std::string_view expected) {
  TOME_ASSIGN_OR_RETURN(const std::string_view found, reader->ReadString(field));
  if (found == expected) return absl::OkStatus();
  return FailedPrecondition("state: {}: the state has '{}', the model in use '{}'", field, found, expected);
}

absl::Status ExpectNumber(ByteReader* reader, std::string_view field, std::int64_t expected) {
  TOME_ASSIGN_OR_RETURN(const std::uint64_t found, reader->Read<std::uint64_t>(field));
  if (found == static_cast<std::uint64_t>(expected)) return absl::OkStatus();
  return FailedPrecondition("state: {}: the state has {}, the model in use {}", field, found, expected);
}

absl::Status CheckIdentity(const ModelInfo& info, ByteReader* reader) {
  TOME_RETURN_IF_ERROR(ExpectText(reader, "model digest", info.model_digest));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "tokenizer digest", info.tokenizer_digest));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "profile digest", info.profile_digest));
  TOME_RETURN_IF_ERROR(ExpectText(reader, "precision", PrecisionName(info.precision)));
  TOME_RETURN_IF_ERROR(ExpectNumber(reader, "layers", info.config.num_layers));
  TOME_RETURN_IF_ERROR(ExpectNumber(reader, "key-value heads", info.config.num_kv_heads));
  return ExpectNumber(reader, "head dimension", info.config.head_dim);
}

std::string_view RawBytes(const at::Tensor& contiguous) {
  return {static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()};
}

struct StateHeader {
  MemoryOptions options;
  std::int64_t tokens_read = 0;
  std::int64_t sink_tokens = 0;
  std::int64_t window_tokens = 0;
  std::int64_t archive_blocks = 0;
};

absl::Status CheckCrc(ByteReader* reader, std::string_view bytes, std::string_view field) {
  TOME_ASSIGN_OR_RETURN(const std::uint32_t expected, reader->Read<std::uint32_t>(field));
  const std::uint32_t found = Crc32c(bytes);
  if (found == expected) return absl::OkStatus();
  return DataLoss("state: {}: expected CRC-32C {:08x}, found {:08x}", field, expected, found);
}

absl::StatusOr<StateHeader> ReadHeader(const ModelInfo& info, std::string_view bytes, ByteReader* reader) {
  TOME_ASSIGN_OR_RETURN(const std::string_view magic, reader->ReadBytes(kStateMagic.size(), "magic"));
  if (magic != kStateMagic) return DataLoss("state: magic: this is not a Tome state");
  TOME_ASSIGN_OR_RETURN(const std::uint32_t version, reader->Read<std::uint32_t>("version"));
  if (version != kStateVersion) {
    return FailedPrecondition("state: version: the state has {}, this build reads {}", version, kStateVersion);
  }
  TOME_RETURN_IF_ERROR(CheckIdentity(info, reader));
  StateHeader header;
  for (int* option : {&header.options.sink_tokens, &header.options.window_tokens, &header.options.segment_tokens,
                      &header.options.region_tokens}) {
    TOME_ASSIGN_OR_RETURN(*option, reader->Read<std::int32_t>("options"));
  }
  for (std::int64_t* count :
       {&header.tokens_read, &header.sink_tokens, &header.window_tokens, &header.archive_blocks}) {
    TOME_ASSIGN_OR_RETURN(*count, reader->Read<std::int64_t>("token counts"));
  }
  TOME_RETURN_IF_ERROR(CheckCrc(reader, bytes.substr(0, reader->offset()), "header checksum"));
  return header;
}

// A checksum guards against damage, not against a writer of nonsense.
absl::Status CheckHeader(const StateHeader& header, const LlamaConfig& config) {
  TOME_RETURN_IF_ERROR(Annotate(ValidateMemoryOptions(header.options, config), "state"));
  const std::int64_t sink = std::min<std::int64_t>(header.tokens_read, header.options.sink_tokens);
  const std::int64_t window = std::min<std::int64_t>(header.tokens_read - sink, header.options.window_tokens);
  if (header.tokens_read < 0 || header.sink_tokens != sink || header.window_tokens != window) {
    return DataLoss("state: token counts: {} read, {} in the sink and {} in the window do not belong together",
                    header.tokens_read, header.sink_tokens, header.window_tokens);
  }
  return absl::OkStatus();
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

absl::Status ReadArchive(const StateHeader& header, ByteReader* reader, Archive* archive) {
  for (std::int64_t i = 0; i < header.archive_blocks; ++i) {
    TOME_ASSIGN_OR_RETURN(const std::string_view bytes, reader->ReadString("archive block"));
    TOME_RETURN_IF_ERROR(CheckCrc(reader, bytes, fmt::format("archive block {}", i)));
    TOME_ASSIGN_OR_RETURN(auto block, ArchiveBlock::Parse(archive->layout(), std::string(bytes)));
    archive->Append(std::move(block));
  }
  if (archive->num_tokens() == header.tokens_read) return absl::OkStatus();
  return DataLoss("state: archive: {} tokens of {} that were read", archive->num_tokens(), header.tokens_read);
}

}  // namespace

std::string Memory::Serialize() const {
  const MemoryState& state = *state_;
  ByteWriter writer;
  writer.Reserve(state.bytes() + state.archive().bytes() + 12 * state.archive().num_blocks() + 1024);
  writer.WriteBytes(kStateMagic);
  writer.Write<std::uint32_t>(kStateVersion);
  WriteIdentity(model_->info(), &writer);
  for (const int option :
       {options().sink_tokens, options().window_tokens, options().segment_tokens, options().region_tokens}) {
    writer.Write<std::int32_t>(option);
  }
  for (const std::int64_t count :
       {state.tokens_read(), state.sink_tokens(), state.window_tokens(), state.archive().num_blocks()}) {
    writer.Write<std::int64_t>(count);
  }
  writer.Write<std::uint32_t>(Crc32c(writer.bytes()));
  for (std::int64_t layer = 0; layer < model_->info().config.num_layers && state.tokens_kept() > 0; ++layer) {
    const std::size_t begin = writer.size();
    for (at::Tensor KeyValueBlock::* part : {&KeyValueBlock::keys, &KeyValueBlock::values}) {
      std::vector<at::Tensor> pieces;
      for (const KeyValueBlock* block : state.blocks()) pieces.push_back((block->*part).select(0, layer));
      writer.WriteBytes(RawBytes(at::cat(pieces, 1).cpu().contiguous()));
    }
    writer.Write<std::uint32_t>(Crc32c(std::string_view(writer.bytes()).substr(begin)));
  }
  for (std::int64_t i = 0; i < state.archive().num_blocks(); ++i) {
    const std::string& block = state.archive().block(i).bytes();
    writer.WriteString(block);
    writer.Write<std::uint32_t>(Crc32c(block));
  }
  return std::move(writer).Take();
}

absl::StatusOr<Memory> Memory::Parse(std::shared_ptr<const Model> model, std::string_view bytes) {
  const LlamaWeights& weights = LlamaModel::From(*model).weights();
  const LlamaConfig& config = weights.config;
  ByteReader reader(bytes, "state", absl::StatusCode::kDataLoss);
  TOME_ASSIGN_OR_RETURN(const StateHeader header, ReadHeader(model->info(), bytes, &reader));
  TOME_RETURN_IF_ERROR(CheckHeader(header, config));
  const std::int64_t kept = header.sink_tokens + header.window_tokens;
  Archive archive(ArchiveLayoutOf(*model, header.options));
  if (kept == 0) {
    TOME_RETURN_IF_ERROR(reader.ExpectEnd());
    return Memory(std::move(model), std::make_shared<const MemoryState>(header.options, archive));
  }
  KeyValueBlock all = KeyValueBlock::Allocate(config, kept, weights.type, at::kCPU);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    const at::Tensor keys = all.keys.select(0, layer), values = all.values.select(0, layer);
    TOME_ASSIGN_OR_RETURN(const std::string_view data, reader.ReadBytes(keys.nbytes() + values.nbytes(), "layer"));
    TOME_RETURN_IF_ERROR(CheckCrc(&reader, data, fmt::format("layer {}", layer)));
    std::copy(data.begin(), data.begin() + keys.nbytes(), static_cast<char*>(keys.mutable_data_ptr()));
    std::copy(data.begin() + keys.nbytes(), data.end(), static_cast<char*>(values.mutable_data_ptr()));
  }
  TOME_RETURN_IF_ERROR(ReadArchive(header, &reader, &archive));
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  all.keys = all.keys.to(weights.device);
  all.values = all.values.to(weights.device);
  std::shared_ptr<const KeyValueBlock> sink;
  if (header.sink_tokens > 0) sink = std::make_shared<const KeyValueBlock>(all.Slice(0, header.sink_tokens));
  return Memory(std::move(model),
                std::make_shared<const MemoryState>(header.options, header.tokens_read, std::move(sink),
                                                    CutWindow(all, header.sink_tokens, header.options.segment_tokens),
                                                    std::move(archive)));
}

}  // namespace tome
