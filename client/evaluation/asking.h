// One question of a session on a running server: what is found for it, what is answered, and when.
#ifndef TOME_CLIENT_EVALUATION_ASKING_H_
#define TOME_CLIENT_EVALUATION_ASKING_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"
#include "engine/evaluation/questions/finding.h"

namespace tome {

double SecondsSince(std::chrono::steady_clock::time_point begin);

// The name in its session of the document of this number.
std::string DocumentName(std::size_t number);

// All arguments must outlive it. A session `session` has read `documents`.
class Asking {
 public:
  Asking(client::Client& client, const v1::Model& model, const std::string& session,
         const std::vector<std::string>& documents, const AskedQuestion& asked, const FindingOptions& options)
      : client_(client), model_(model), session_(session), documents_(documents), asked_(asked), options_(options) {
    figures_.asked = asked;
  }

  // Searches with this effort, which is timed alone, and then asks: only an answer tells which text was read again.
  // Errors are the server's.
  absl::Status Run(const std::string& effort);

  // Of the session, by the last search.
  std::uint64_t tokens() const { return tokens_; }
  std::uint64_t regions() const { return regions_; }
  // Of each effort that was run.
  QuestionFigures TakeFigures() && { return std::move(figures_); }

 private:
  absl::Status Search(const std::string& effort);
  absl::Status Ask(const std::string& effort);
  v1::AskRequest MakeRequest(const std::string& effort) const;
  bool HasEvidence(const v1::ByteRange& range) const;
  bool CoversAnAnswer(const v1::ByteRange& range) const;
  // What the documents have there.
  std::string TextOf(const google::protobuf::RepeatedPtrField<v1::Passage>& passages) const;

  client::Client& client_;
  const v1::Model& model_;
  const std::string& session_;
  const std::vector<std::string>& documents_;
  const AskedQuestion& asked_;
  const FindingOptions& options_;
  QuestionFigures figures_;
  std::uint64_t tokens_ = 0, regions_ = 0;
};

}  // namespace tome

#endif  // TOME_CLIENT_EVALUATION_ASKING_H_
