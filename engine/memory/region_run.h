// Parts of the archive.
#ifndef TOME_ENGINE_MEMORY_REGION_RUN_H_
#define TOME_ENGINE_MEMORY_REGION_RUN_H_

#include <cstdint>

namespace tome {

// Regions side by side. Their text need not end where they do.
struct RegionRun {
  std::int64_t first = 0, end = 0;  // numbers in the archive
  // Tokens of the region before and of the one after that belong to the text too; negative: so many of the run's own
  // first or last ones that do not. Less than a region.
  int before = 0, after = 0;

  friend bool operator==(const RegionRun&, const RegionRun&) = default;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_REGION_RUN_H_
