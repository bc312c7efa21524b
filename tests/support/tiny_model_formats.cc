#include "tests/support/tiny_model_formats.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "engine/files/byte_writer.h"
#include "fmt/format.h"

namespace tome::testing {
namespace {

// From Hugging Face's halves to neighbours, head by head: row i of the first half becomes row 2i, of the second 2i + 1.
void Interleave(TinyTensor* tensor, int head_dim) {
  const auto columns = static_cast<std::size_t>(tensor->shape[1]);
  const auto half = static_cast<std::size_t>(head_dim) / 2;
  std::vector<float> reordered(tensor->values.size());
  for (std::size_t row = 0; row < static_cast<std::size_t>(tensor->shape[0]); ++row) {
    const std::size_t in_head = row % (2 * half), head_start = row - in_head;
    const std::size_t target = head_start + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
    std::copy_n(tensor->values.begin() + static_cast<std::ptrdiff_t>(row * columns), columns,
                reordered.begin() + static_cast<std::ptrdiff_t>(target * columns));
  }
  tensor->values = std::move(reordered);
}

bool EndsWith(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::vector<TinyTensor> InterleavedTensors(const TinyModelOptions& options) {
  std::vector<TinyTensor> tensors = TinyTensors(options);
  for (TinyTensor& tensor : tensors) {
    if (EndsWith(tensor.name, "q_proj.weight") || EndsWith(tensor.name, "k_proj.weight")) {
      Interleave(&tensor, options.head_dim);
    }
  }
  return tensors;
}

std::string GgufName(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"model.layers.", "blk."},
      {"input_layernorm", "attn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  };
  for (const auto& [from, to] : kParts) {
    if (const std::size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

void SetByteLevelTokenizer(GgufWriter* writer) {
  std::vector<std::string> pieces = ByteAlphabet(), merges;
  for (const auto& [left, right] : TinyMerges()) {
    pieces.push_back(left + right);
    merges.push_back(left + " " + right);
  }
  std::vector<std::int32_t> types(pieces.size(), 1);
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    pieces.push_back(special);
    types.push_back(3);
  }
  writer->SetString("tokenizer.ggml.model", "gpt2");
  writer->SetString("tokenizer.ggml.pre", "gpt-2");
  writer->SetStrings("tokenizer.ggml.tokens", pieces);
  writer->SetInt32s("tokenizer.ggml.token_type", types);
  writer->SetStrings("tokenizer.ggml.merges", merges);
  writer->SetUint32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(pieces.size() - 2));
  writer->SetUint32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(pieces.size() - 1));
}

struct ScoredPiece {
  std::string text;
  float score;
};

// Pieces with U+2581 for a space.
std::vector<ScoredPiece> SentencePieces(int vocab_size) {
  std::vector<ScoredPiece> pieces = {{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}};
  for (int byte = 0; byte < 256; ++byte) pieces.push_back({fmt::format("<0x{:02X}>", byte), 0});
  std::vector<std::string> letters = {"\xE2\x96\x81"};
  for (char letter = 'a'; letter <= 'z'; ++letter) letters.push_back(std::string(1, letter));
  for (const std::string& letter : letters) pieces.push_back({letter, -1000});
  for (const std::string& left : letters) {
    for (const std::string& right : letters) pieces.push_back({left + right, -static_cast<float>(pieces.size())});
  }
  if (vocab_size < 259 || static_cast<std::size_t>(vocab_size) > pieces.size()) {
    std::cerr << "test support: a vocabulary of " << vocab_size << " cannot be made" << std::endl;
    std::abort();
  }
  pieces.resize(static_cast<std::size_t>(vocab_size));
  return pieces;
}

}  // namespace

GgufWriter TinyGguf(const TinyModelOptions& options) {
  GgufWriter writer;
  const auto set = [&](std::string_view key, int value) { writer.SetUint32(key, static_cast<std::uint32_t>(value)); };
  writer.SetString("general.architecture", "llama");
  writer.SetString("general.name", "Tiny");
  set("llama.block_count", options.num_layers);
  set("llama.context_length", options.context_length);
  set("llama.embedding_length", options.hidden_size);
  set("llama.feed_forward_length", options.ffn_size);
  set("llama.attention.head_count", options.num_heads);
  set("llama.attention.head_count_kv", options.num_kv_heads);
  set("llama.attention.key_length", options.head_dim);
  set("llama.attention.value_length", options.head_dim);
  set("llama.rope.dimension_count", options.head_dim);
  writer.SetFloat("llama.rope.freq_base", static_cast<float>(options.rope_theta));
  writer.SetFloat("llama.attention.layer_norm_rms_epsilon", static_cast<float>(options.rms_norm_epsilon));
  SetByteLevelTokenizer(&writer);
  for (const TinyTensor& tensor : InterleavedTensors(options)) {
    const TinyModelType type = tensor.shape.size() == 1 ? TinyModelType::kF32 : options.type;
    const std::uint32_t number = type == TinyModelType::kF32   ? gguf::kF32
                                 : type == TinyModelType::kF16 ? gguf::kF16
                                                               : gguf::kBF16;
    writer.tensors.push_back({GgufName(tensor.name), tensor.shape, number, EncodeValues(tensor.values, type)});
  }
  return writer;
}

void SetSentencePieceTokenizer(GgufWriter* writer) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const ScoredPiece& piece : SentencePieces(TinyVocabSize())) {
    const std::size_t id = texts.size();
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(id == 0 ? 2 : id <= 2 ? 3 : id < 259 ? 6 : 1);
  }
  for (const char* key : {"tokenizer.ggml.pre", "tokenizer.ggml.merges"}) writer->Remove(key);
  writer->SetString("tokenizer.ggml.model", "llama");
  writer->SetStrings("tokenizer.ggml.tokens", texts);
  writer->SetFloats("tokenizer.ggml.scores", scores);
  writer->SetInt32s("tokenizer.ggml.token_type", types);
  writer->SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer->SetUint32("tokenizer.ggml.eos_token_id", 2);
  writer->SetUint32("tokenizer.ggml.unknown_token_id", 0);
}

std::string TinyLlama2c(const TinyModelOptions& options) {
  const std::vector<TinyTensor> tensors = InterleavedTensors(options);
  const int vocab_size = static_cast<int>(tensors.front().shape[0]);
  ByteWriter writer;
  for (const int field : {options.hidden_size, options.ffn_size, options.num_layers, options.num_heads,
                          options.num_kv_heads, options.tied ? vocab_size : -vocab_size, options.context_length}) {
    writer.Write<std::int32_t>(field);
  }
  const auto write_all = [&](std::string_view suffix) {  // of every layer, one after another
    for (const TinyTensor& tensor : tensors) {
      if (EndsWith(tensor.name, suffix)) writer.WriteBytes(EncodeValues(tensor.values, TinyModelType::kF32));
    }
  };
  for (const char* suffix : {"embed_tokens.weight", "input_layernorm.weight", "q_proj.weight", "k_proj.weight",
                             "v_proj.weight", "o_proj.weight", "post_attention_layernorm.weight", "gate_proj.weight",
                             "down_proj.weight", "up_proj.weight", "model.norm.weight"}) {
    write_all(suffix);
  }
  for (int i = 0; i < options.context_length * options.head_dim; ++i) writer.Write<float>(0);  // the rotary tables
  write_all("lm_head.weight");
  return std::move(writer).Take();
}

std::string TinyLlama2cVocabulary(int vocab_size) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  ByteWriter writer;
  writer.Write<std::int32_t>(6);
  for (ScoredPiece& piece : SentencePieces(vocab_size)) {
    for (std::size_t at; (at = piece.text.find(kSpace)) != std::string::npos;)
      piece.text.replace(at, kSpace.size(), " ");
    if (piece.text == "<s>") piece.text = "\n<s>\n";
    if (piece.text == "</s>") piece.text = "\n</s>\n";
    writer.Write<float>(piece.score);
    writer.Write<std::int32_t>(static_cast<std::int32_t>(piece.text.size()));
    writer.WriteBytes(piece.text);
  }
  return std::move(writer).Take();
}

}  // namespace tome::testing
