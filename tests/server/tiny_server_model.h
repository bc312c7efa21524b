// A small random model with a random profile, loaded once for all tests of a program.
#ifndef TOME_TESTS_SERVER_TINY_SERVER_MODEL_H_
#define TOME_TESTS_SERVER_TINY_SERVER_MODEL_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace tome::testing {

std::shared_ptr<const Model> TinyServerModel();
// The same weights; the archives of its memories go to `folder` beyond so many bytes of each.
std::shared_ptr<const Model> SpillingServerModel(const std::string& folder, std::size_t archive_resident_bytes);
// The same weights; the vocabulary has no tokens for kTokenlessBytes, some of those that SmolLM2's has none for.
std::shared_ptr<const Model> TokenlessServerModel();
inline constexpr std::string_view kTokenlessBytes = "\x04\x06\x13\x14\x16\x1d";
// Another one of the same shape.
std::shared_ptr<const Model> OtherTinyServerModel();

// Small enough that a page of text fills them many times.
inline const MemoryOptions kTinyMemoryOptions = {
    .sink_tokens = 8,
    .window_tokens = 64,
    .segment_tokens = 32,
    .regions = {.selected = 2, .query_region_tokens = 16, .ring_regions = 4, .pool_regions = 2}};

// English-like text of exactly this many bytes, the same for the same seed.
std::string SomeText(std::size_t num_bytes, std::uint64_t seed = 1);

// The memory after reading these documents, made with the engine alone: the tokens of each whole document, in segments.
// `whole_segments_only`: without the short segment at the end of the last document. `to_stored`: where the byte that
// follows so much of a document's text was stored, by default at the same offset.
Memory ReadWithEngine(const std::shared_ptr<const Model>& model, const std::vector<std::string>& documents,
                      const MemoryOptions& options, bool whole_segments_only = false,
                      const std::function<ByteOffset(ByteOffset)>& to_stored = std::identity());

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_TINY_SERVER_MODEL_H_
