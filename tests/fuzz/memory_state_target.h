// The reader of serialized memories as a function of any bytes: what libFuzzer calls, and a test of the default suite.
#ifndef TOME_TESTS_FUZZ_MEMORY_STATE_TARGET_H_
#define TOME_TESTS_FUZZ_MEMORY_STATE_TARGET_H_

#include <string>
#include <string_view>
#include <vector>

namespace tome::testing {

// Reads the bytes as a memory of a tiny model, and uses it when that goes well. Ends the program when a promise is
// broken: bytes are refused with DATA_LOSS or FAILED_PRECONDITION, or they are what the memory is written as again, it
// holds no more than it may, a question leaves it as it is, and reading on works or fails with an error. Returns
// whether the bytes were taken.
bool RunMemoryState(std::string_view bytes);

// Memories of that model, of several options and documents.
std::vector<std::string> MemoryStateSeeds();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_MEMORY_STATE_TARGET_H_
