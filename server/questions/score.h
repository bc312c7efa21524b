// How likely a text is after what a session has read.
#ifndef TOME_SERVER_QUESTIONS_SCORE_H_
#define TOME_SERVER_QUESTIONS_SCORE_H_

#include <memory>

#include "server/base/types.h"
#include "server/questions/inquiry.h"

namespace tome::server {

std::unique_ptr<Inquiry> MakeScore(ScoreRequest request);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_SCORE_H_
