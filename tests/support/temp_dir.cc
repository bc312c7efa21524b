#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <system_error>

namespace tome::testing {
namespace {

[[noreturn]] void Die(const std::filesystem::path& path, const char* action) {
  std::cerr << "test support: cannot " << action << " " << path << std::endl;
  std::abort();
}

}  // namespace

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "tome-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) Die(name, "create");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a file that cannot be removed must not fail the test
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::Write(std::string_view name, std::string_view bytes) const {
  const std::filesystem::path file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  WriteFile(file, bytes);
  return file.string();
}

void WriteFile(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) Die(path, "write");
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file) Die(path, "read");
  return std::move(bytes).str();
}

}  // namespace tome::testing
