// A question that the model answers: over the passages that it finds, or over sink and window.
#ifndef TOME_SERVER_QUESTIONS_ANSWER_H_
#define TOME_SERVER_QUESTIONS_ANSWER_H_

#include <memory>

#include "server/base/types.h"
#include "server/questions/inquiry.h"

namespace tome::server {

// Its errors are also INVALID_ARGUMENT/ANSWER_BUDGET and those of ChooseForm.
std::unique_ptr<Inquiry> MakeAnswer(QuestionRequest request);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_ANSWER_H_
