// The reader of exported sessions as a function of any bytes: what libFuzzer calls, and a test of the default suite.
#ifndef TOME_TESTS_FUZZ_BUNDLE_TARGET_H_
#define TOME_TESTS_FUZZ_BUNDLE_TARGET_H_

#include <string>
#include <string_view>
#include <vector>

namespace tome::testing {

// Reads the bytes as a bundle, cut in different ways. Ends the program when a promise is broken: bytes are refused
// with DATA_LOSS or FAILED_PRECONDITION, or what they hold is in order, as long as it was announced, and the same after
// it was written and read again. Returns whether the bytes were taken.
bool RunBundle(std::string_view bytes);

// Bundles of different sessions.
std::vector<std::string> BundleSeeds();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_BUNDLE_TARGET_H_
