// Questions, and what their answers rest on.
#ifndef TOME_ENGINE_GENERATION_QUESTION_H_
#define TOME_ENGINE_GENERATION_QUESTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/types.h"
#include "engine/memory/region_run.h"
#include "engine/model/profiles/model_profile.h"
#include "engine/text/tokenizer.h"

namespace tome {

class Adapter;  // see adapter/adapter.h

// What an answer is generated over.
enum class AnswerMode {
  kReread,  // the text of the regions found, read anew
  kWindow,  // sink and window as they are: the beginning and the end of what was read
  kAttend,  // the sink and the regions found: stored keys and values where they are still held, else the text read anew
};

struct RouteOptions {
  Effort effort = Effort::kBalanced;
  int max_regions = 32;  // in the result
  // With it the model ranks what was found; null: as it is. What was read stays as it was read.
  std::shared_ptr<const Adapter> adapter;
};

// A region that a question was routed to.
struct FoundRegion {
  std::int64_t region = 0;  // number in the archive
  TokenSpan span;           // its bytes, from one end of a sentence to another
  // The probability that the question was asked of this region rather than of another one found: of all routers
  // together and, with reranking, of how likely the question and a sentence of the region make each other.
  double score = 0;
  double routing_score = 0;   // of all routers together, in standard deviations
  double attention_mass = 0;  // share of the question's attention at the retrieval heads
  double stem_score = 0;      // BM25 over word stems
  double token_score = 0;     // BM25 over token ids and pairs of them
  // Of the question after the region's likeliest sentence, nats; 0 where not reranked.
  double log_likelihood = 0;
  // The bytes of that sentence; none where not reranked.
  TokenSpan sentence;
};

// Regions side by side that an answer was generated over, in the order in which the model had them.
struct Passage {
  TokenSpan span;
  RegionRun regions;
  int tokens = 0;
  double score = 0;     // the sum of its regions' scores
  bool stored = false;  // kAttend: its stored keys and values were attended to; else its text was read again
};

// What an answer rests on.
struct Evidence {
  AnswerMode mode = AnswerMode::kReread;
  Effort effort = Effort::kBalanced;
  std::vector<FoundRegion> found;  // best first
  std::vector<Passage> passages;   // what was read again; kAttend: after the passages that were stored
  std::int64_t text_tokens = 0;    // of the passages that were read again
  std::int64_t stored_tokens = 0;  // kAttend: tokens whose stored keys and values were attended to, the sink's included
  std::int64_t regions_scanned = 0;
  std::int64_t regions_reranked = 0;  // of those, by the model
};

// Tokens that were stored but not read, after the last whole segment. A question reads them into its fork first.
struct PendingText {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;  // of each token; all of one document
};

struct Question {
  std::string text;
  std::string instruction;                                 // what the answer should be like; see PromptForm
  std::vector<std::pair<std::string, std::string>> turns;  // earlier questions and answers, oldest first
  PromptForm form;
  RouteOptions route;
  int budget_tokens = 512;  // of the regions that the answer is generated over
  AnswerMode mode = AnswerMode::kReread;
  // With it the text found is read again and answered; null: with the model as it is. Only kReread takes one: stored
  // keys and values are the model's own.
  std::shared_ptr<const Adapter> adapter;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_QUESTION_H_
