// What a session has read, whole: its memory, and what of the text is on its way there. This is what a snapshot keeps.
#ifndef TOME_SERVER_READING_READING_STATE_H_
#define TOME_SERVER_READING_READING_STATE_H_

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/engine.h"
#include "engine/text/text_pipeline.h"
#include "server/storage/session_store.h"

namespace tome::server {

struct ReadingState {
  Memory memory;
  std::deque<Segment> unread;  // whole segments that follow the memory
  TextPipelineState pipeline;  // and what follows them
  bool new_stems = false;      // the memory is not as the snapshot has it: the stems of its words were made anew
};

// All but the memory as bytes: u32 number of segments; of each u32 tokens, u32 document, then for each token i32 id,
// u32 bytes, u64 begin, or without tokens u64 begin, u64 end. Then the fields of the pipeline in the order in which
// they are declared.
std::string SerializeProgress(const ReadingState& state);
// DATA_LOSS when they are no such bytes. Whether the parts fit each other tell TextPipeline::Resume and CheckProgress.
absl::Status ParseProgress(std::string_view bytes, std::deque<Segment>* unread, TextPipelineState* pipeline);

// Whether memory, segments and pipeline follow each other without a gap through documents that are stored: each read
// from its beginning, and sealed before the next one. DATA_LOSS says where they do not.
absl::Status CheckProgress(const ReadingState& state, const std::vector<StoredDocument>& documents);

// What of each document the memory has read, from its beginning on. Of a document that is behind these are all bytes,
// also those at its end that have no token. `documents`: as for CheckProgress.
std::vector<ReadRange> DocumentsRead(const ReadingState& state, const std::vector<StoredDocument>& documents);

}  // namespace tome::server

#endif  // TOME_SERVER_READING_READING_STATE_H_
