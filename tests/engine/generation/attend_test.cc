// Answers over stored keys and values, beside attention by its definition over the same ones.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/generation/answer_task.h"
#include "engine/generation/prompt_form.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}
const LlamaWeights& TinyWeights() { return LlamaModel::From(*TinyModel()).weights(); }

MemoryOptions OptionsWith(const RegionMemoryOptions& regions) {
  return {.sink_tokens = 5, .window_tokens = 64, .segment_tokens = 32, .region_tokens = 16, .regions = regions};
}
const RegionMemoryOptions kOff = {.selected = 0};
const RegionMemoryOptions kExact = {
    .selected = 2, .query_region_tokens = 16, .ring_regions = 1000, .precision = RegionPrecision::kComputed};

std::vector<TokenId> Encode(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyModel()->tokenizer()->Encode(text)) tokens.push_back(token.id);
  return tokens;
}

std::string BookText(int chapters) {
  std::string text;
  for (int i = 0; i < chapters; ++i) text += fmt::format("Chapter {}. Ship {} sailed to {}. ", i, i * 37 % 101, i * 13);
  return text;
}

// A memory that has read a text, beside the keys and values of every token as they were computed.
struct ReadBook {
  ReadBook(const std::string& text, const MemoryOptions& options) : memory(*Memory::Create(TinyModel(), options)) {
    const std::vector<TokenId> tokens = Encode(text);
    std::vector<at::Tensor> all_keys, all_values;
    ByteOffset begin = 0;
    for (std::size_t first = 0; first < tokens.size(); first += options.segment_tokens) {
      const auto segment = absl::MakeConstSpan(tokens).subspan(first, options.segment_tokens);
      const SegmentReading reading = ReadSegment(TinyWeights(), *memory.state(), segment);
      all_keys.push_back(reading.block.keys);
      all_values.push_back(reading.block.values);
      std::vector<TokenSpan> spans;
      for (const TokenId token : segment) {
        const auto size = static_cast<std::uint32_t>(TinyModel()->tokenizer()->TokenBytes(token).size());
        spans.push_back({.document = 0, .num_bytes = size, .begin = begin});
        begin += size;
      }
      const ArchiveLayout& layout = memory.state()->archive().layout();
      const std::string codes(segment.size() * layout.code_bytes, '\x11');
      auto archived = ArchiveBlock::Make(layout, segment, spans, codes, *TinyModel()->tokenizer());
      memory.set_state(memory.state()->Append(reading.block, std::move(archived), reading.routing));
    }
    keys = at::cat(all_keys, 2);
    values = at::cat(all_values, 2);
  }

  Memory memory;
  at::Tensor keys, values;  // [L, KV, all tokens, D], keys not rotated
};

// Attention by definition over chosen tokens of a book at positions 0.., and the new ones behind them.
class AttentionByHand final : public SequenceAttention {
 public:
  AttentionByHand(const ReadBook& book, const std::vector<std::int64_t>& tokens)
      : keys_(book.keys.index_select(2, at::tensor(tokens, at::kLong))),
        values_(book.values.index_select(2, at::tensor(tokens, at::kLong))) {}

  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override {
    const auto [queries, keys, values] = QueryKeyValue::Split(qkv, TinyWeights().config);
    const at::Tensor all_keys = at::cat({keys_.select(0, layer), keys}, 1).contiguous();
    const at::Tensor all_values = at::cat({values_.select(0, layer), values}, 1).contiguous();
    const at::Tensor rotated_keys = at::empty_like(all_keys), rotated = at::empty(queries.sizes(), queries.options());
    RotateInto(all_keys, TinyWeights().rope, 0, rotated_keys);
    RotateInto(queries, TinyWeights().rope, keys_.size(2), rotated);
    out.copy_(ReferenceCausalAttention(rotated, rotated_keys, all_values).view(out.sizes()));
  }

 private:
  at::Tensor keys_, values_;
};

struct Answered {
  std::shared_ptr<const Evidence> evidence;
  std::vector<GeneratedToken> tokens;
  absl::Status status;
};

Answered RunTask(Task task) {
  Answered answered;
  Task* tasks[] = {&task};
  while (!task.finished()) {
    const StepResult result = Step(tasks)[0];
    if (result.evidence != nullptr) answered.evidence = result.evidence;
    answered.tokens.insert(answered.tokens.end(), result.tokens.begin(), result.tokens.end());
    answered.status = result.status;
  }
  return answered;
}

Question AskAbout(const std::string& text, int budget_tokens) {
  return {.text = text,
          .form = RawPromptForm(),
          .route = {.effort = Effort::kFast},
          .budget_tokens = budget_tokens,
          .mode = AnswerMode::kAttend};
}

// The places of a passage's tokens in all that was read, counted region by region from the first.
std::vector<std::int64_t> TokensOfPassage(const Archive& archive, const Passage& passage) {
  const RegionRun& run = passage.regions;
  std::int64_t first = 0, end = 0;
  for (std::int64_t region = 0; region < run.end; ++region) {
    const auto size = static_cast<std::int64_t>(archive.RegionTokens(region, region + 1).size());
    if (region < run.first) first += size;
    end += size;
  }
  std::vector<std::int64_t> tokens(end + run.after - (first - run.before));
  std::iota(tokens.begin(), tokens.end(), first - run.before);
  return tokens;
}

// Whether the state has the keys and values of a token, by looking at all of them.
bool IsHeld(const ReadBook& book, std::int64_t token) {
  const MemoryState& state = *book.memory.state();
  if (token < state.sink_tokens() || token >= state.tokens_read() - state.window_tokens()) return true;
  const at::Tensor wanted = book.values.select(2, token);
  for (std::int64_t i = 0; i < state.regions().size(); ++i) {
    const MemoryRegion& region = state.regions().region(i);
    const std::int64_t index = token - region.first_token;
    if (index < 0 || index >= region.block.tokens()) continue;
    for (std::int64_t layer = 0; layer < TinyWeights().config.num_layers; ++layer) {
      const at::Tensor own = region.block.LayerValues(layer, at::kFloat).select(1, index);
      if (!at::allclose(own, wanted.select(0, layer), 0.05, 0.02)) return false;
    }
    return true;
  }
  return false;
}

// What the answer must be: log-probabilities of its tokens by attention over what the evidence names.
void ExpectAnswerByHand(const ReadBook& book, const Question& question, const Answered& answered, double tolerance) {
  const Archive& archive = book.memory.state()->archive();
  std::vector<std::int64_t> attended;
  for (std::int64_t i = 0; i < book.memory.state()->sink_tokens(); ++i) attended.push_back(i);
  for (const Passage& passage : answered.evidence->passages) {
    for (const std::int64_t token : TokensOfPassage(archive, passage)) {
      if (passage.stored && (attended.empty() || token > attended.back())) attended.push_back(token);
    }
  }
  EXPECT_EQ(answered.evidence->stored_tokens, static_cast<std::int64_t>(attended.size()));
  std::vector<TokenId> input =
      FillPrompt(*TinyModel(), question, JoinPassages(archive, *TinyModel()->tokenizer(), answered.evidence->passages),
                 /*at_start=*/false)
          ->tokens;
  for (const GeneratedToken& token : answered.tokens) {
    AttentionByHand attention(book, attended);
    const at::Tensor hidden = Forward(TinyWeights(), input, attention);
    const at::Tensor logits = ComputeLogits(TinyWeights(), hidden.narrow(0, hidden.size(0) - 1, 1))[0];
    EXPECT_NEAR(token.log_probability, at::log_softmax(logits, -1)[token.id].item<float>(), tolerance);
    if (tolerance < 1e-2) {
      EXPECT_EQ(token.id, logits.argmax().item<std::int64_t>());
    }
    input.push_back(token.id);
  }
}

TEST(Attend, OverAWholeShortTextEqualsDenseAttention) {
  for (const RegionMemoryOptions& regions : {kOff, kExact}) {
    const ReadBook book("A short text, caf\xc3\xa9 and all. It ends here, after two sentences.", OptionsWith(regions));
    const std::int64_t tokens = book.memory.tokens_read();
    ASSERT_LE(tokens, 69);
    const Answered answered = RunTask(*Task::Answer(book.memory, {}, AskAbout("Which?", 512), {.max_tokens = 8}));
    ASSERT_THAT(answered.status, IsOk());
    EXPECT_EQ(answered.evidence->mode, AnswerMode::kAttend);
    EXPECT_EQ(answered.evidence->stored_tokens, tokens);
    EXPECT_EQ(answered.evidence->text_tokens, 0);
    ASSERT_EQ(answered.evidence->passages.size(), 1u);
    EXPECT_TRUE(answered.evidence->passages[0].stored);

    std::vector<TokenId> prompt = book.memory.state()->archive().Tokens(0, tokens);
    const std::vector<TokenId> question = Encode("\n\nWhich?");
    prompt.insert(prompt.end(), question.begin(), question.end());
    const Answered dense =
        RunTask(*Task::Generate(*Memory::Create(TinyModel(), {.regions = kOff}), prompt, {.max_tokens = 8}));
    ASSERT_EQ(answered.tokens.size(), dense.tokens.size());
    for (std::size_t i = 0; i < dense.tokens.size(); ++i) {
      EXPECT_EQ(answered.tokens[i].id, dense.tokens[i].id);
      EXPECT_NEAR(answered.tokens[i].log_probability, dense.tokens[i].log_probability, 1e-3);
    }
  }
}

struct Case {
  const char* name;
  RegionMemoryOptions regions;
  double tolerance;
  bool some_stored, some_gone;  // of the passages of all questions
};

std::vector<Case> Cases() {
  RegionMemoryOptions ring = kExact;
  ring.ring_regions = 6;
  RegionMemoryOptions bf16 = kExact, int8 = kExact, merged = ring;
  bf16.precision = RegionPrecision::kBf16;
  int8.precision = RegionPrecision::kInt8;
  merged.pool_regions = 8;
  merged.retention = RetentionScore::kRandom;
  merged.compression = RegionCompression::kMerge;
  return {{"off", kOff, 1e-3, true, true},    {"all kept", kExact, 1e-3, true, false},
          {"a ring", ring, 1e-3, true, true}, {"bf16", bf16, 0.05, true, false},
          {"int8", int8, 0.1, true, false},   {"merged", merged, 1e-3, true, true}};
}

TEST(Attend, EqualsAttentionByHandOverScatteredRegions) {
  for (const Case& tried : Cases()) {
    SCOPED_TRACE(tried.name);
    const ReadBook book(BookText(40), OptionsWith(tried.regions));
    const std::string digest = book.memory.Digest();
    bool some_stored = false, some_gone = false;
    for (const char* text : {"Which ship sailed to 130?", "Chapter 39", "Where did ship 74 sail to?"}) {
      for (const int budget : {16, 100, 300}) {
        const Question question = AskAbout(text, budget);
        const Answered answered = RunTask(*Task::Answer(book.memory, {}, question, {.max_tokens = 4}));
        ASSERT_THAT(answered.status, IsOk());
        ASSERT_FALSE(answered.evidence->passages.empty());
        ExpectAnswerByHand(book, question, answered, tried.tolerance);
        std::int64_t reread = 0, chosen = 0;
        for (const Passage& passage : answered.evidence->passages) {
          (passage.stored ? some_stored : some_gone) = true;
          chosen += passage.tokens;
          if (!passage.stored) reread += passage.tokens;
          const std::vector<std::int64_t> tokens = TokensOfPassage(book.memory.state()->archive(), passage);
          const bool held = std::all_of(tokens.begin(), tokens.end(), [&](std::int64_t t) { return IsHeld(book, t); });
          const bool is_one_region = passage.regions.end == passage.regions.first + 1;
          EXPECT_TRUE(held || !passage.stored);
          EXPECT_TRUE(!held || passage.stored || !is_one_region);
        }
        EXPECT_EQ(answered.evidence->text_tokens, reread);
        EXPECT_LE(chosen, budget);
      }
    }
    EXPECT_EQ(some_stored, tried.some_stored);
    EXPECT_EQ(some_gone, tried.some_gone);
    EXPECT_EQ(book.memory.Digest(), digest);
  }
}

TEST(Attend, StoredPassagesComeFirstInTheOrderOfTheText) {
  RegionMemoryOptions ring = kExact;
  ring.ring_regions = 6;
  const ReadBook book(BookText(40), OptionsWith(ring));
  const MemoryState& state = *book.memory.state();
  const std::int64_t last = state.archive().num_regions() - 1;
  const std::vector<Passage> passages = ChooseStoredPassages(state, *TinyModel()->tokenizer(),
                                                             {{.region = 9, .score = 0.5},
                                                              {.region = last - 2, .score = 0.1},
                                                              {.region = 20, .score = 0.1},
                                                              {.region = 0, .score = 0.1}},
                                                             300);
  ASSERT_EQ(passages.size(), 4u);
  EXPECT_TRUE(passages[0].stored);
  EXPECT_EQ(passages[0].regions.first, last - 2);
  EXPECT_EQ(passages[0].regions.end, last - 1);
  // Region 0 has tokens beyond the sink, which have left. The best is read last.
  EXPECT_EQ(passages[1].regions.first, 0);
  EXPECT_EQ(passages[2].regions.first, 20);
  EXPECT_EQ(passages[3].regions.first, 8);
  EXPECT_FALSE(passages[3].stored);
  const std::vector<TokenRange> attended = AttendedTokens(state, passages);
  ASSERT_FALSE(attended.empty());
  EXPECT_EQ(attended[0], (TokenRange{0, 5}));
  for (std::size_t i = 1; i < attended.size(); ++i) EXPECT_GE(attended[i].first, attended[i - 1].end);
}

TEST(Attend, OfNothingReadIsThePromptAlone) {
  const Memory empty = *Memory::Create(TinyModel(), OptionsWith(kOff));
  const Answered answered = RunTask(*Task::Answer(empty, {}, AskAbout("Which?", 64), {.max_tokens = 5}));
  ASSERT_THAT(answered.status, IsOk());
  EXPECT_EQ(answered.evidence->stored_tokens, 0);
  const Question question = AskAbout("Which?", 64);
  const Answered expected =
      RunTask(*Task::Generate(empty, FillPrompt(*TinyModel(), question, "")->tokens, {.max_tokens = 5}));
  ASSERT_EQ(answered.tokens.size(), expected.tokens.size());
  for (std::size_t i = 0; i < expected.tokens.size(); ++i) EXPECT_EQ(answered.tokens[i].id, expected.tokens[i].id);
}

TEST(Attend, PendingTextIsAttendedInTheForkOnly) {
  const ReadBook book(BookText(40), OptionsWith(kExact));
  const std::string digest = book.memory.Digest();
  PendingText pending{.tokens = Encode("The zebra lives in Ulm.")};
  for (std::size_t i = 0; i < pending.tokens.size(); ++i) {
    pending.spans.push_back({.document = 3, .num_bytes = 1, .begin = i});
  }
  const Answered answered = RunTask(*Task::Answer(book.memory, pending, AskAbout("zebra Ulm", 32), {.max_tokens = 2}));
  ASSERT_THAT(answered.status, IsOk());
  EXPECT_TRUE(std::any_of(answered.evidence->passages.begin(), answered.evidence->passages.end(),
                          [](const Passage& passage) { return passage.stored && passage.span.document == 3; }));
  EXPECT_EQ(book.memory.Digest(), digest);
}

TEST(Attend, DroppedAnywhereLeavesTheMemoryAsItWas) {
  const ReadBook book(BookText(40), OptionsWith(kExact));
  const std::string digest = book.memory.Digest();
  bool ended = false;
  for (int steps = 0; !ended; ++steps) {
    Task task = *Task::Answer(book.memory, {}, AskAbout("Which ship?", 64), {.max_tokens = 3});
    Task* tasks[] = {&task};
    for (int i = 0; i < steps && !task.finished(); ++i) ASSERT_THAT(Step(tasks)[0].status, IsOk());
    ended = task.finished();
    EXPECT_EQ(book.memory.Digest(), digest);
  }
}

TEST(Attend, RefusesWhatCannotWork) {
  const ReadBook book(BookText(40), OptionsWith(kExact));
  Question question = AskAbout("Which?", 300);
  EXPECT_THAT(RunTask(*Task::Answer(book.memory, {}, question, {.max_tokens = 4000})).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stored ones")));
  question.mode = AnswerMode::kWindow;
  EXPECT_THAT(Task::Answer(book.memory, {}, question, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sink and window")));
}

}  // namespace
}  // namespace tome
