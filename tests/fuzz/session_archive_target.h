// The reader of exported sessions as a function of any bytes: what libFuzzer calls, and a test of the default suite.
#ifndef TOME_TESTS_FUZZ_SESSION_ARCHIVE_TARGET_H_
#define TOME_TESTS_FUZZ_SESSION_ARCHIVE_TARGET_H_

#include <string>
#include <string_view>
#include <vector>

namespace tome::testing {

// Reads the bytes as an archive, cut in different ways. Ends the program when a promise is broken: bytes are refused
// with DATA_LOSS or FAILED_PRECONDITION, or what they hold is in order, as long as it was announced, and the same after
// it was written and read again. Returns whether the bytes were taken.
bool RunSessionArchive(std::string_view bytes);

// Archives of different sessions.
std::vector<std::string> SessionArchiveSeeds();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_SESSION_ARCHIVE_TARGET_H_
