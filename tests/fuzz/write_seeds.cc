// Writes the seeds of every target that has some: tome-fuzz-seeds FOLDER makes FOLDER/TARGET/0, FOLDER/TARGET/1, ...
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tests/fuzz/adapter_targets.h"
#include "tests/fuzz/bundle_target.h"
#include "tests/fuzz/checkpoint_targets.h"
#include "tests/fuzz/memory_state_target.h"
#include "tests/fuzz/snapshot_target.h"
#include "tests/support/temp_dir.h"

namespace {

void WriteSeeds(const std::filesystem::path& folder, const std::vector<std::string>& seeds) {
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const std::string& seed : seeds) tome::testing::WriteFile(folder / std::to_string(number++), seed);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tome-fuzz-seeds FOLDER" << std::endl;
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  for (const auto* targets : {&tome::testing::CheckpointFuzzTargets(), &tome::testing::AdapterFuzzTargets()}) {
    for (const tome::testing::FuzzTarget& target : *targets) WriteSeeds(folder / target.name, target.seeds());
  }
  WriteSeeds(folder / "memory_state", tome::testing::MemoryStateSeeds());
  WriteSeeds(folder / "bundle", tome::testing::BundleSeeds());
  WriteSeeds(folder / "snapshot", tome::testing::SnapshotSeeds());
  return 0;
}
