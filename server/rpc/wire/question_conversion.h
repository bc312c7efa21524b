// Between the messages of questions and searches and the types of the session layer. Requests are validated before.
// Thread-safe.
#ifndef TOME_SERVER_RPC_WIRE_QUESTION_CONVERSION_H_
#define TOME_SERVER_RPC_WIRE_QUESTION_CONVERSION_H_

#include "engine/engine.h"
#include "server/base/types.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

QuestionRequest FromProto(const v1::AskRequest& request);
SearchRequest FromProto(const v1::SearchRequest& request);
ScoreRequest FromProto(const v1::ScoreRequest& request);

v1::AskProgress ToProto(const QuestionProgress& progress);
v1::AskResult ToProto(const QuestionResult& result);
v1::SearchResponse ToProto(const SearchPage& page);

// Adds a delta to one that was not sent yet.
void MergeDelta(const AnswerDelta& delta, const Tokenizer& tokenizer, v1::AskDelta* into);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_QUESTION_CONVERSION_H_
