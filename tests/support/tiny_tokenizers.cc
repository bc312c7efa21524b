#include "tests/support/tiny_tokenizers.h"

#include <utility>
#include <vector>

#include "engine/text/tokenizers/sentencepiece_model.h"
#include "fmt/format.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {
namespace {

using Json = nlohmann::json;

constexpr char kSpace[] = "\xE2\x96\x81";  // U+2581
constexpr char kChatMl[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// Of what two pieces the joined ones are made, the best first.
std::vector<std::pair<std::string, std::string>> Merges() {
  const std::string space = kSpace;
  return {{space, "t"}, {"h", "e"},     {space + "t", "he"}, {space, "a"}, {"i", "n"},   {"e", "r"},
          {"o", "n"},   {"a", "t"},     {space, "s"},        {"e", "n"},   {space, "w"}, {"o", "u"},
          {"i", "s"},   {space, space}, {"a", "n"},          {"i", "t"}};
}

std::vector<std::string> Pieces() {
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>"};
  for (int byte = 0; byte < 256; ++byte) pieces.push_back(fmt::format("<0x{:02X}>", byte));
  pieces.push_back(kSpace);
  for (char letter = 'a'; letter <= 'z'; ++letter) pieces.push_back(std::string(1, letter));
  for (const auto& [left, right] : Merges()) pieces.push_back(left + right);
  return pieces;
}

std::string SentencePieceModel() {
  std::vector<TokenizerPiece> pieces;
  for (const std::string& text : Pieces()) {
    const std::size_t id = pieces.size();
    const PieceType type = id == 0    ? PieceType::kUnknown
                           : id <= 2  ? PieceType::kControl
                           : id < 259 ? PieceType::kByte
                                      : PieceType::kNormal;
    const float score = id < 259 ? 0 : id < 286 ? -1000 : -static_cast<float>(id);
    pieces.push_back({text, score, type});
  }
  return SerializeSentencePieceModel(pieces);
}

Json Added(int id, const char* text) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

int ImStart() { return TinyVocabSize() - 2; }
int ImEnd() { return TinyVocabSize() - 1; }

Json TokenizerConfig(bool chat_ml) {
  Json config = {{"bos_token", "<s>"},
                 {"eos_token", chat_ml ? "<|im_end|>" : "</s>"},
                 {"unk_token", "<unk>"},
                 {"tokenizer_class", "LlamaTokenizer"}};
  if (chat_ml) config["chat_template"] = kChatMl;
  return config;
}

}  // namespace

bool HasChatMl(TinyTokenizerKind kind) { return kind != TinyTokenizerKind::kSentencePiece; }

Json TinyCharacterTokenizerJson(TinyTokenizerKind kind) {
  Json vocab = Json::object(), merges = Json::array();
  for (const std::string& piece : Pieces()) vocab[piece] = vocab.size();
  for (const auto& [left, right] : Merges()) merges.push_back({left, right});
  Json tokenizer = {{"added_tokens",
                     {Added(0, "<unk>"), Added(1, "<s>"), Added(2, "</s>"), Added(ImStart(), "<|im_start|>"),
                      Added(ImEnd(), "<|im_end|>")}},
                    {"model",
                     {{"type", "BPE"},
                      {"unk_token", "<unk>"},
                      {"fuse_unk", true},
                      {"byte_fallback", true},
                      {"vocab", vocab},
                      {"merges", merges}}}};
  if (kind == TinyTokenizerKind::kMetaspaceFirst || kind == TinyTokenizerKind::kMetaspaceSplit) {
    tokenizer["pre_tokenizer"] = {{"type", "Metaspace"},
                                  {"replacement", kSpace},
                                  {"prepend_scheme", "first"},
                                  {"split", kind == TinyTokenizerKind::kMetaspaceSplit}};
  } else {
    tokenizer["normalizer"] = {{"type", "Sequence"},
                               {"normalizers",
                                {{{"type", "Prepend"}, {"prepend", kSpace}},
                                 {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}}}}};
  }
  return tokenizer;
}

std::map<std::string, std::string> TinyTokenizerFiles(TinyTokenizerKind kind) {
  std::map<std::string, std::string> files;
  switch (kind) {
    case TinyTokenizerKind::kByteLevel:
      return {{"tokenizer.json", TinyTokenizerJson()}, {"tokenizer_config.json", TinyTokenizerConfigJson()}};
    case TinyTokenizerKind::kSentencePieceChatMl:
      files["added_tokens.json"] = Json{{"<|im_start|>", ImStart()}, {"<|im_end|>", ImEnd()}}.dump();
      [[fallthrough]];
    case TinyTokenizerKind::kSentencePiece:
      files["tokenizer.model"] = SentencePieceModel();
      break;
    case TinyTokenizerKind::kBoth:
      files["tokenizer.model"] = SentencePieceModel();
      [[fallthrough]];
    default:
      files["tokenizer.json"] = TinyCharacterTokenizerJson(kind).dump();
  }
  files["tokenizer_config.json"] = TokenizerConfig(HasChatMl(kind)).dump();
  return files;
}

void WriteTinyTokenizer(const std::filesystem::path& folder, TinyTokenizerKind kind) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json"}) {
    std::filesystem::remove(folder / name);
  }
  for (const auto& [name, content] : TinyTokenizerFiles(kind)) WriteFile(folder / name, content);
}

}  // namespace tome::testing
