// A fact and a question about it in each of many scripts, as people write them: for tests of words and of finding.
#ifndef TOME_TESTS_SUPPORT_SCRIPT_SAMPLES_H_
#define TOME_TESTS_SUPPORT_SCRIPT_SAMPLES_H_

#include <string>
#include <vector>

namespace tome::testing {

struct ScriptSample {
  std::string name;
  std::string word;      // one of the entry
  std::string entry;     // a fact, whose words touch the punctuation of its script
  std::string question;  // that only this entry answers
};
const std::vector<ScriptSample>& ScriptSamples();

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_SCRIPT_SAMPLES_H_
