// Small LLaMA checkpoints with random weights, for tests that need a model but no sense in what it says.
#ifndef TOME_TESTS_SUPPORT_TINY_MODEL_H_
#define TOME_TESTS_SUPPORT_TINY_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tome::testing {

enum class TinyModelType { kF32, kF16, kBF16 };

// The same options give the same files. Weights are multiples of 1/1024 with at most 8 significant bits, so they are
// the same numbers in every type.
struct TinyModelOptions {
  int num_layers = 2;
  int hidden_size = 64;
  int num_heads = 4;
  int num_kv_heads = 2;
  int head_dim = 16;
  int ffn_size = 96;
  int context_length = 4096;
  int vocab_size = 0;  // 0 = TinyVocabSize(); more gives rows that the tokenizer has no token for
  bool tied = true;    // no lm_head.weight
  double rope_theta = 10000.0;
  double rms_norm_epsilon = 1e-5;
  std::string rope_scaling_json;  // put into config.json as "rope_scaling" unless empty
  std::uint64_t seed = 1;
  TinyModelType type = TinyModelType::kF32;
  int num_files = 1;          // more than one: shards with model.safetensors.index.json
  bool tokenizer = true;      // write tokenizer.json and tokenizer_config.json
  std::string missing_bytes;  // for which the tokenizer has no token, as SmolLM2's has none for U+0004
};

// A tensor with its values as floats, row-major.
struct TinyTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// The tokens of TinyTokenizerJson.
int TinyVocabSize();

// Writes config.json, the weights and the tokenizer files into `folder`, which is made when absent.
void WriteTinyModel(const std::filesystem::path& folder, const TinyModelOptions& options = {});

// The parts that WriteTinyModel writes.
std::string TinyConfigJson(const TinyModelOptions& options);
std::string TinyTokenizerConfigJson();
// Byte-level BPE (GPT-2's pattern): ids 0-255 are single bytes, then pieces of frequent English, then the special
// tokens
// <|endoftext|>, <|im_start|> (BOS) and <|im_end|> (EOS). Any text can be encoded.
// `missing_bytes`: their ids have pieces that no text is made of.
std::string TinyTokenizerJson(const std::string& missing_bytes = "");
// All tensors of the model with Hugging Face's names.
std::vector<TinyTensor> TinyTensors(const TinyModelOptions& options);

// The bytes of a safetensors file with these tensors, in this order.
std::string SafetensorsBytes(const std::vector<TinyTensor>& tensors, TinyModelType type);
// The values as they are stored in a file.
std::string EncodeValues(const std::vector<float>& values, TinyModelType type);

// The single-character pieces of GPT-2's byte alphabet, index = byte.
const std::vector<std::string>& ByteAlphabet();
// TinyTokenizerJson's merges, best first.
const std::vector<std::pair<std::string, std::string>>& TinyMerges();

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_TINY_MODEL_H_
