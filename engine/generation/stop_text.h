// Stop texts that may span tokens.
#ifndef TOME_ENGINE_GENERATION_STOP_TEXT_H_
#define TOME_ENGINE_GENERATION_STOP_TEXT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tome {

// Passes an answer's text through, ends it where the first stop text is complete, and holds back what may become one.
// Of stop texts that are complete at the same character, the one that begins first counts. So what comes out does not
// depend on how the text was cut. Not thread-safe.
class StopTextFilter {
 public:
  // Empty stop texts are ignored.
  explicit StopTextFilter(std::vector<std::string> stop_texts);

  // Takes the next text and returns what is certain to belong to the answer. After a stop text nothing more comes.
  std::string Append(std::string_view text);

  // The text held back, when the answer ends otherwise.
  std::string Finish();

  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stop_texts_;
  std::string held_;  // shorter than the longest stop text
  bool stopped_ = false;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_STOP_TEXT_H_
