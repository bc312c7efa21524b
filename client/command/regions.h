// Regions of text that were found, as people read them.
#ifndef TOME_CLIENT_COMMAND_REGIONS_H_
#define TOME_CLIENT_COMMAND_REGIONS_H_

#include <string>

#include "google/protobuf/repeated_ptr_field.h"
#include "tome/v1/tome.pb.h"

namespace tome::command {

// "bible:1200-1475": bytes 1200 <= i < 1475.
std::string FormatRange(const v1::ByteRange& range);

// Numbered, best first: a table with the score, the range and each region's text from its ranked sentence on, or, with
// `whole_text`, a line for each with all of its text below.
std::string RenderRegions(const google::protobuf::RepeatedPtrField<v1::Citation>& regions, bool whole_text);
std::string RenderRegions(const google::protobuf::RepeatedPtrField<v1::SearchRegion>& regions, bool whole_text);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_REGIONS_H_
