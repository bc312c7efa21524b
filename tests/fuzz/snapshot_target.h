// The reader of snapshot files as a function of any bytes: what libFuzzer calls, and a test of the default suite.
#ifndef TOME_TESTS_FUZZ_SNAPSHOT_TARGET_H_
#define TOME_TESTS_FUZZ_SNAPSHOT_TARGET_H_

#include <string>
#include <string_view>
#include <vector>

namespace tome::testing {

// Loads the bytes as a snapshot of a session of a tiny model, and reads on from it when that goes well. Ends the
// program when a promise is broken: bytes are refused with DATA_LOSS or FAILED_PRECONDITION, or what they hold follows
// the stored documents without a gap, and is written as it was read. Returns whether the bytes were taken.
bool RunSnapshot(std::string_view bytes);

// Snapshots of that session at several moments.
std::vector<std::string> SnapshotSeeds();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_SNAPSHOT_TARGET_H_
