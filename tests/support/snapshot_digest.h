// What a snapshot's file holds, without what tells of its making.
#ifndef TOME_TESTS_SUPPORT_SNAPSHOT_DIGEST_H_
#define TOME_TESTS_SUPPORT_SNAPSHOT_DIGEST_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "engine/base/digest.h"
#include "gtest/gtest.h"
#include "server/storage/snapshot_file.h"

namespace tome::testing {

// Of both sections, in hex. `folder`: the session's. Throws where the snapshot cannot be read.
inline std::string SnapshotContentDigest(const std::string& folder, std::uint64_t number) {
  const auto reader =
      server::SnapshotReader::Open(server::FileSystem::Real(), server::SnapshotPathIn(folder, number)).value();
  Sha256 digest;
  digest.Update(reader->ReadReading().value());
  SizedByteSource& state = reader->state();
  while (state.remaining() > 0) digest.Update(state.Next(std::min<std::uint64_t>(state.remaining(), 4096)).value());
  const absl::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status;
  return digest.FinishHex();
}

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_SNAPSHOT_DIGEST_H_
