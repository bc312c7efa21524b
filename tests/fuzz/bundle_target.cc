#include "tests/fuzz/bundle_target.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/storage/bundle.h"
#include "tests/fuzz/require.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using server::BundleReader;
using server::BundleWriter;
using server::SnapshotInfo;
using server::StoredDocument;
using server::StoredSession;

// Keeps all of a bundle.
class Collector final : public server::BundleSink {
 public:
  absl::Status OnSession(StoredSession session) override {
    Require(!session_, "two sessions");
    session_ = std::move(session);
    return absl::OkStatus();
  }
  absl::Status OnDocument(const StoredDocument& document) override {
    Require(session_ && !snapshot_, "a document out of order");
    RequireWhole();
    documents_.emplace_back(document, "");
    return absl::OkStatus();
  }
  absl::Status OnDocumentBytes(std::string_view bytes) override {
    Require(!documents_.empty() && !snapshot_, "bytes of no document");
    documents_.back().second += bytes;
    Require(documents_.back().second.size() <= documents_.back().first.size, "more bytes than announced");
    return absl::OkStatus();
  }
  absl::Status OnSnapshot(const SnapshotInfo& snapshot) override {
    Require(session_ && !snapshot_, "a snapshot out of order");
    RequireWhole();
    snapshot_ = snapshot;
    return absl::OkStatus();
  }
  absl::Status OnSnapshotBytes(std::string_view bytes) override {
    Require(snapshot_.has_value(), "bytes of no snapshot");
    snapshot_bytes_ += bytes;
    Require(snapshot_bytes_.size() <= snapshot_->size_bytes, "more bytes than announced");
    return absl::OkStatus();
  }

  // What it kept, as a bundle.
  std::string Write() const {
    Require(session_.has_value(), "a bundle without a session was taken");
    RequireWhole();
    Require(!snapshot_ || snapshot_bytes_.size() == snapshot_->size_bytes, "fewer bytes than announced");
    BundleWriter writer;
    std::string bundle = writer.Begin(*session_);
    for (const auto& [document, bytes] : documents_) {
      bundle += writer.Document(document);
      WriteBytes(bytes, &writer, &bundle);
    }
    if (snapshot_) {
      bundle += writer.Snapshot(*snapshot_);
      WriteBytes(snapshot_bytes_, &writer, &bundle);
    }
    return bundle + writer.End();
  }

 private:
  static void WriteBytes(std::string_view bytes, BundleWriter* writer, std::string* bundle) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), server::kMaxBundleFrame))) {
      *bundle += writer->Bytes(bytes.substr(0, server::kMaxBundleFrame));
    }
  }
  void RequireWhole() const {
    if (documents_.empty()) return;
    Require(documents_.back().second.size() == documents_.back().first.size, "fewer bytes than announced");
  }

  std::optional<StoredSession> session_;
  std::vector<std::pair<StoredDocument, std::string>> documents_;
  std::optional<SnapshotInfo> snapshot_;
  std::string snapshot_bytes_;
};

// The bundle as it is written again; nullopt when it is refused.
std::optional<std::string> Read(std::string_view bytes, std::size_t piece_bytes) {
  Collector collector;
  BundleReader reader(collector);
  absl::Status status;
  for (; status.ok() && !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), piece_bytes))) {
    status = reader.Take(bytes.substr(0, piece_bytes));
  }
  if (status.ok()) status = reader.Finish();
  if (status.ok()) return collector.Write();
  Require(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status), status.ToString());
  return std::nullopt;
}

}  // namespace

bool RunBundle(std::string_view bytes) {
  const std::optional<std::string> whole = Read(bytes, std::max<std::size_t>(bytes.size(), 1));
  Require(Read(bytes, 7) == whole, "pieces are read in another way");
  if (whole) Require(Read(*whole, 4096) == whole, "what was written is read in another way");
  return whole.has_value();
}

std::vector<std::string> BundleSeeds() {
  StoredSession session{.id = "session", .create_time = absl::FromUnixSeconds(1), .options = kTinyMemoryOptions};
  const StoredDocument first{.name = "first", .size = 300, .sealed = true, .create_time = absl::FromUnixSeconds(2)};
  const StoredDocument second{.name = "second", .create_time = absl::FromUnixSeconds(3)};
  const SnapshotInfo snapshot{.number = 3, .size_bytes = 90, .ingested_bytes = 300, .digest = "digest"};
  std::vector<std::string> seeds;
  for (const bool full : {false, true}) {
    BundleWriter writer;
    std::string bundle = writer.Begin(session);
    if (full) {
      bundle += writer.Document(first);
      bundle += writer.Bytes(SomeText(100));
      bundle += writer.Bytes(SomeText(200));
      bundle += writer.Document(second);
      bundle += writer.Snapshot(snapshot);
      bundle += writer.Bytes(SomeText(90));
    }
    seeds.push_back(bundle + writer.End());
    session.display_name = "A name";
    session.labels = {{"key", "value"}, {"other", ""}};
    session.time_to_live = absl::Hours(1);
    session.pinned = true;
  }
  return seeds;
}

}  // namespace tome::testing
