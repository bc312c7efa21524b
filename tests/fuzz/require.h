// What a fuzz target promises.
#ifndef TOME_TESTS_FUZZ_REQUIRE_H_
#define TOME_TESTS_FUZZ_REQUIRE_H_

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace tome::testing {

// Ends the process, which libFuzzer takes for a finding, unless it holds.
inline void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "broken promise: " << what << std::endl;
  std::abort();
}

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_REQUIRE_H_
