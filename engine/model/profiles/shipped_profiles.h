// The profiles in engine/model/profiles/, built into the program.
#ifndef TOME_ENGINE_MODEL_PROFILES_SHIPPED_PROFILES_H_
#define TOME_ENGINE_MODEL_PROFILES_SHIPPED_PROFILES_H_

#include <string_view>

#include "absl/types/span.h"

namespace tome {

struct ShippedProfile {
  std::string_view name;
  std::string_view json;
};

absl::Span<const ShippedProfile> ShippedProfiles();

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PROFILES_SHIPPED_PROFILES_H_
