#include "tests/engine/text/reference_tokenizers.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "engine/base/digest.h"
#include "engine/checkpoint/checkpoint.h"

namespace tome::testing {
namespace {

TokenizerData ReadTokenizerData(const Checkpoint::Options& options) {
  absl::StatusOr<std::shared_ptr<const Checkpoint>> checkpoint = Checkpoint::Open(options);
  if (!checkpoint.ok()) throw std::runtime_error(checkpoint.status().ToString());
  return (*checkpoint)->tokenizer();
}

TokenizerData Llama2cData() {
  return ReadTokenizerData({.path = SharedDataFolder() + "/models/stories260K.bin",
                            .tokenizer_path = SharedDataFolder() + "/models/llama2c_tok512.bin"});
}

TokenizerData MistralData() {
  TokenizerData data;
  data.kind = TokenizerKind::kSentencePieceModel;
  data.source = "mistral_v1.model";
  data.sentencepiece_model = ReadFile(SharedDataFolder() + "/tokenizers/mistral_v1.model");
  return data;
}

}  // namespace

std::string SharedDataFolder() { return TOME_SOURCE_DIR "/../shared/data"; }
bool HasSharedData() { return std::filesystem::exists(SharedDataFolder() + "/books"); }

TokenizerData SmolLm2Data() {
  static const TokenizerData data =
      ReadTokenizerData({.path = TOME_DEPS_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf"});
  return data;
}

std::optional<TokenizerData> ReferenceData(const std::string& name) {
  const bool needs_shared_data = name == "mistral" || name == "llama2c" || name == "llama2c_no_bytes";
  if (needs_shared_data && !HasSharedData()) return std::nullopt;
  if (name == "mistral") return MistralData();
  if (name == "llama2c") return Llama2cData();
  if (name == "llama2c_no_bytes") {
    TokenizerData data = Llama2cData();
    for (TokenizerPiece& piece : data.pieces) {
      if (piece.type == PieceType::kByte) piece.type = PieceType::kUnused;
    }
    return data;
  }
  TokenizerData data = SmolLm2Data();
  if (name == "smollm2") return data;
  if (name == "gpt2") {
    data.pre_tokenizer = PreTokenizer::kGpt2;
  } else if (name == "llama3") {
    data.pre_tokenizer = PreTokenizer::kLlama3;
    data.ignore_merges = true;
  } else if (name == "gaps") {
    data.pre_tokenizer = PreTokenizer::kPattern;
    data.split_pattern = R"(\p{L}{2}|[\r\n]+|\w\S)";
    data.individual_digits = true;
  } else if (name == "user_defined") {
    for (const char* text : {"<think>", "</think>", "<think", "a user 1", "\n\n\n", "\u00e9\u4e2d"}) {
      data.pieces.push_back({text, 0, PieceType::kUserDefined});
    }
  } else {
    throw std::runtime_error("no reference tokenizer " + name);
  }
  return data;
}

std::shared_ptr<const Tokenizer> ReferenceTokenizer(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const Tokenizer>> made;
  if (const auto found = made.find(name); found != made.end()) return found->second;
  std::optional<TokenizerData> data = ReferenceData(name);
  if (!data) return nullptr;
  absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Create(*std::move(data));
  if (!tokenizer.ok()) throw std::runtime_error(tokenizer.status().ToString());
  return made[name] = *std::move(tokenizer);
}

nlohmann::json ReadGolden(const std::string& file) {
  return nlohmann::json::parse(ReadFile(TOME_SOURCE_DIR "/tests/golden/tokenizers/" + file));
}

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + path);
  std::ostringstream content;
  content << stream.rdbuf();
  return std::move(content).str();
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string DigestOfIds(const std::vector<TextToken>& tokens) {
  const std::vector<TokenId> ids = Ids(tokens);
  return Sha256Hex(std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)));
}

std::vector<TokenId> Ids(const std::vector<TextToken>& tokens) {
  std::vector<TokenId> ids;
  ids.reserve(tokens.size());
  for (const TextToken& token : tokens) ids.push_back(token.id);
  return ids;
}

std::size_t TotalBytes(const std::vector<TextToken>& tokens) {
  std::size_t total = 0;
  for (const TextToken& token : tokens) total += token.num_bytes;
  return total;
}

}  // namespace tome::testing
