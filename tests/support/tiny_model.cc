#include "tests/support/tiny_model.h"

#include <bit>
#include <cstdlib>
#include <iostream>

#include "engine/files/byte_writer.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"

namespace tome::testing {
namespace {

using Json = nlohmann::ordered_json;

// SplitMix64: the same numbers from every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // From -127 to 127.
  int SmallInteger() { return static_cast<int>(Next() % 255) - 127; }

 private:
  std::uint64_t state_;
};

std::int64_t NumValues(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t dimension : shape) product *= dimension;
  return product;
}

// Exact for zero and for numbers in half precision's normal range with at most 11 significant bits.
std::uint16_t HalfBits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  if (value == 0) return sign;
  const int exponent = static_cast<int>((bits >> 23) & 0xff) - 127;
  if (exponent < -14 || exponent > 15 || (bits & 0x1fff) != 0) {
    std::cerr << "test support: " << value << " is not a half-precision number" << std::endl;
    std::abort();
  }
  return static_cast<std::uint16_t>(sign | ((exponent + 15) << 10) | ((bits >> 13) & 0x3ff));
}

std::string_view SafetensorsType(TinyModelType type) {
  switch (type) {
    case TinyModelType::kF16:
      return "F16";
    case TinyModelType::kBF16:
      return "BF16";
    default:
      return "F32";
  }
}

std::string_view TorchType(TinyModelType type) {
  switch (type) {
    case TinyModelType::kF16:
      return "float16";
    case TinyModelType::kBF16:
      return "bfloat16";
    default:
      return "float32";
  }
}

int VocabSize(const TinyModelOptions& options) { return options.vocab_size > 0 ? options.vocab_size : TinyVocabSize(); }

constexpr std::string_view kSpecialTokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

int SpecialId(std::size_t index) { return 256 + static_cast<int>(TinyMerges().size() + index); }

void WriteShards(const std::filesystem::path& folder, const TinyModelOptions& options) {
  const std::vector<TinyTensor> tensors = TinyTensors(options);
  const std::size_t num_files = static_cast<std::size_t>(options.num_files);
  std::vector<std::vector<TinyTensor>> shards(num_files);
  Json weight_map = Json::object();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::size_t shard = i * num_files / tensors.size();
    weight_map[tensors[i].name] = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, num_files);
    shards[shard].push_back(tensors[i]);
  }
  for (std::size_t i = 0; i < num_files; ++i) {
    WriteFile(folder / fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, num_files),
              SafetensorsBytes(shards[i], options.type));
  }
  WriteFile(folder / "model.safetensors.index.json",
            Json{{"metadata", Json::object()}, {"weight_map", weight_map}}.dump());
}

}  // namespace

const std::vector<std::string>& ByteAlphabet() {
  static const std::vector<std::string> alphabet = [] {
    std::vector<std::string> pieces(256);
    int next = 256;  // bytes that are no printable Latin-1 character take the code points from 256 on
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const int code_point = printable ? byte : next++;
      std::string& piece = pieces[static_cast<std::size_t>(byte)];
      if (code_point < 0x80) {
        piece = static_cast<char>(code_point);
      } else {
        piece = {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
      }
    }
    return pieces;
  }();
  return alphabet;
}

const std::vector<std::pair<std::string, std::string>>& TinyMerges() {
  static const std::vector<std::pair<std::string, std::string>> merges = {
      {"Ġ", "t"}, {"h", "e"},  {"Ġ", "a"},  {"i", "n"},    {"Ġt", "he"}, {"r", "e"},   {"o", "n"}, {"Ġ", "s"},
      {"Ġ", "w"}, {"e", "r"},  {"n", "d"},  {"Ġ", "o"},    {"Ġa", "nd"}, {"Ġ", "b"},   {"o", "u"}, {"i", "s"},
      {"Ġ", "c"}, {"in", "g"}, {"e", "n"},  {"Ġo", "f"},   {"a", "t"},   {"Ġt", "o"},  {"o", "r"}, {"Ġ", "p"},
      {"e", "s"}, {"Ġ", "in"}, {"Ġ", "f"},  {"a", "n"},    {"i", "t"},   {"l", "l"},   {"Ġ", "m"}, {"e", "d"},
      {"a", "r"}, {"Ġ", "h"},  {"Ġt", "h"}, {"Ġth", "at"}, {"Ġ", "is"},  {"Ġw", "as"}, {"a", "s"}, {"o", "m"},
      {"Ġ", "d"}, {"ou", "t"}, {"Ġ", "Ġ"},  {"ĠĠ", "ĠĠ"},  {"Ã", "©"},
  };
  return merges;
}

int TinyVocabSize() { return SpecialId(std::size(kSpecialTokens)); }

std::string TinyTokenizerJson(const std::string& missing_bytes) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const bool missing = missing_bytes.find(static_cast<char>(byte)) != std::string::npos;
    vocab[missing ? fmt::format("unused-{}", byte) : ByteAlphabet()[static_cast<std::size_t>(byte)]] = byte;
  }
  Json merges = Json::array();
  for (std::size_t i = 0; i < TinyMerges().size(); ++i) {
    const auto& [left, right] = TinyMerges()[i];
    vocab[left + right] = 256 + i;
    merges.push_back(left + " " + right);
  }
  Json added = Json::array();
  for (std::size_t i = 0; i < std::size(kSpecialTokens); ++i) {
    added.push_back({{"id", SpecialId(i)},
                     {"content", kSpecialTokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", added},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model",
                           {{"type", "BPE"},
                            {"dropout", nullptr},
                            {"unk_token", nullptr},
                            {"continuing_subword_prefix", nullptr},
                            {"end_of_word_suffix", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"vocab", vocab},
                            {"merges", merges}}}};
  return tokenizer.dump(1);
}

std::string TinyTokenizerConfigJson() {
  const Json config = {
      {"bos_token", "<|im_start|>"},
      {"eos_token", "<|im_end|>"},
      {"chat_template",
       "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
       "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
      {"tokenizer_class", "GPT2Tokenizer"}};
  return config.dump(1);
}

std::string TinyConfigJson(const TinyModelOptions& options) {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"vocab_size", VocabSize(options)},
                 {"hidden_size", options.hidden_size},
                 {"intermediate_size", options.ffn_size},
                 {"num_hidden_layers", options.num_layers},
                 {"num_attention_heads", options.num_heads},
                 {"num_key_value_heads", options.num_kv_heads},
                 {"head_dim", options.head_dim},
                 {"hidden_act", "silu"},
                 {"max_position_embeddings", options.context_length},
                 {"rms_norm_eps", options.rms_norm_epsilon},
                 {"rope_theta", options.rope_theta},
                 {"rope_scaling", nullptr},
                 {"attention_bias", false},
                 {"mlp_bias", false},
                 {"tie_word_embeddings", options.tied},
                 {"torch_dtype", TorchType(options.type)},
                 {"bos_token_id", SpecialId(1)},
                 {"eos_token_id", SpecialId(2)}};
  if (!options.rope_scaling_json.empty()) config["rope_scaling"] = Json::parse(options.rope_scaling_json);
  return config.dump(1);
}

std::vector<TinyTensor> TinyTensors(const TinyModelOptions& options) {
  Random random(options.seed);
  std::vector<TinyTensor> tensors;
  // The scale is a power of two, so that values keep their few significant bits.
  const auto add = [&](std::string name, std::vector<std::int64_t> shape, float scale) {
    TinyTensor tensor{std::move(name), std::move(shape), {}};
    tensor.values.resize(static_cast<std::size_t>(NumValues(tensor.shape)));
    for (float& value : tensor.values) value = static_cast<float>(random.SmallInteger()) * scale;
    tensors.push_back(std::move(tensor));
  };
  const auto add_norm = [&](std::string name) {
    TinyTensor tensor{std::move(name), {options.hidden_size}, {}};
    for (int i = 0; i < options.hidden_size; ++i)
      tensor.values.push_back(static_cast<float>(96 + random.Next() % 64) / 128);
    tensors.push_back(std::move(tensor));
  };
  const int vocab_size = VocabSize(options), hidden = options.hidden_size, ffn = options.ffn_size;
  const int q_rows = options.num_heads * options.head_dim, kv_rows = options.num_kv_heads * options.head_dim;
  constexpr float kScale = 1.0f / 1024;
  add("model.embed_tokens.weight", {vocab_size, hidden}, 4 * kScale);
  for (int layer = 0; layer < options.num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    add_norm(prefix + "input_layernorm.weight");
    add(prefix + "self_attn.q_proj.weight", {q_rows, hidden}, 2 * kScale);
    add(prefix + "self_attn.k_proj.weight", {kv_rows, hidden}, 2 * kScale);
    add(prefix + "self_attn.v_proj.weight", {kv_rows, hidden}, 2 * kScale);
    add(prefix + "self_attn.o_proj.weight", {hidden, q_rows}, 2 * kScale);
    add_norm(prefix + "post_attention_layernorm.weight");
    add(prefix + "mlp.gate_proj.weight", {ffn, hidden}, 2 * kScale);
    add(prefix + "mlp.up_proj.weight", {ffn, hidden}, 2 * kScale);
    add(prefix + "mlp.down_proj.weight", {hidden, ffn}, kScale);
  }
  add_norm("model.norm.weight");
  if (!options.tied) add("lm_head.weight", {vocab_size, hidden}, 2 * kScale);
  return tensors;
}

std::string EncodeValues(const std::vector<float>& values, TinyModelType type) {
  ByteWriter writer;
  for (const float value : values) {
    switch (type) {
      case TinyModelType::kF32:
        writer.Write<float>(value);
        break;
      case TinyModelType::kF16:
        writer.Write<std::uint16_t>(HalfBits(value));
        break;
      case TinyModelType::kBF16:
        writer.Write<std::uint16_t>(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
        break;
    }
  }
  return std::move(writer).Take();
}

std::string SafetensorsBytes(const std::vector<TinyTensor>& tensors, TinyModelType type) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const TinyTensor& tensor : tensors) {
    const std::size_t begin = data.size();
    data += EncodeValues(tensor.values, type);
    header[tensor.name] = {
        {"dtype", SafetensorsType(type)}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  ByteWriter writer;
  writer.WriteString(text);
  writer.WriteBytes(data);
  return std::move(writer).Take();
}

void WriteTinyModel(const std::filesystem::path& folder, const TinyModelOptions& options) {
  std::filesystem::create_directories(folder);
  WriteFile(folder / "config.json", TinyConfigJson(options));
  if (options.tokenizer) {
    WriteFile(folder / "tokenizer.json", TinyTokenizerJson(options.missing_bytes));
    WriteFile(folder / "tokenizer_config.json", TinyTokenizerConfigJson());
  }
  if (options.num_files > 1) {
    WriteShards(folder, options);
  } else {
    WriteFile(folder / "model.safetensors", SafetensorsBytes(TinyTensors(options), options.type));
  }
}

}  // namespace tome::testing
