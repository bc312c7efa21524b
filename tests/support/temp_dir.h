// A folder of its own for a test, removed with everything in it.
#ifndef TOME_TESTS_SUPPORT_TEMP_DIR_H_
#define TOME_TESTS_SUPPORT_TEMP_DIR_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace tome::testing {

class TempDir {
 public:
  // Created below the system's folder for temporary files (TMPDIR). Ends the test program when that fails.
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::filesystem::path& path() const { return path_; }
  std::string File(std::string_view name) const { return (path_ / name).string(); }

  // Writes a file, replacing an older one, and returns its path. Folders on the way are made.
  std::string Write(std::string_view name, std::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

// Writes and reads whole files. They end the test program when the file system refuses.
void WriteFile(const std::filesystem::path& path, std::string_view bytes);
std::string ReadFile(const std::filesystem::path& path);

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_TEMP_DIR_H_
