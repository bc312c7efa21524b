// Writes the seeds of every target: tome-fuzz-seeds FOLDER makes FOLDER/TARGET/0, FOLDER/TARGET/1, ...
#include <filesystem>
#include <iostream>
#include <string>

#include "tests/fuzz/checkpoint_targets.h"
#include "tests/support/temp_dir.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tome-fuzz-seeds FOLDER" << std::endl;
    return 2;
  }
  for (const tome::testing::FuzzTarget& target : tome::testing::CheckpointFuzzTargets()) {
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const std::string& seed : target.seeds()) {
      tome::testing::WriteFile(folder / std::to_string(number++), seed);
    }
  }
  return 0;
}
