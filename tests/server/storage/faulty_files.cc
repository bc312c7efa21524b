#include "tests/server/storage/faulty_files.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "engine/base/status.h"
#include "server/base/errors.h"

namespace tome::testing {

// Nothing is synced in truth: the tests' own machine keeps its power.
class FaultyFiles::File final : public server::OutputFile {
 public:
  File(FaultyFiles& owner, std::string path, std::unique_ptr<server::OutputFile> file)
      : owner_(owner), path_(std::move(path)), file_(std::move(file)) {}

  absl::StatusOr<std::size_t> Write(std::string_view bytes) override {
    const std::size_t size = owner_.BeforeWrite(bytes.size());
    const absl::Status status = owner_.NextChange();
    if (!status.ok() && !owner_.LeavesPart()) return status;
    owner_.SetUnsynced(path_, true);
    if (status.ok()) return file_->Write(bytes.substr(0, size));
    TOME_RETURN_IF_ERROR(file_->Write(bytes.substr(0, size / 2)).status());
    return status;
  }

  absl::Status Sync() override {
    TOME_RETURN_IF_ERROR(owner_.NextChange());
    owner_.SetUnsynced(path_, false);
    return absl::OkStatus();
  }

 private:
  FaultyFiles& owner_;
  const std::string path_;
  const std::unique_ptr<server::OutputFile> file_;
};

void FaultyFiles::FailAfter(int successes, absl::Status error) {
  std::lock_guard lock(mutex_);
  counter_.FailAfter(successes, /*once=*/false);
  error_ = std::move(error);
  leaves_part_ = false;
}

void FaultyFiles::FailAfter(int successes, DiskFault fault, bool once) {
  FailAfter(successes, server::StorageError(IsFull(fault) ? ENOSPC : EIO, "the test's disk"));
  std::lock_guard lock(mutex_);
  counter_.FailAfter(successes, once);
  leaves_part_ = IsShort(fault);
}

int FaultyFiles::Heal() {
  std::lock_guard lock(mutex_);
  return counter_.Heal();
}

void FaultyFiles::WriteAtMost(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  write_at_most_ = bytes;
}

void FaultyFiles::OnWrite(std::function<void()> hook) {
  std::lock_guard lock(mutex_);
  on_write_ = std::move(hook);
}

void FaultyFiles::OnFolderSynced(std::function<void(const std::string&)> hook) {
  std::lock_guard lock(mutex_);
  on_folder_synced_ = std::move(hook);
}

absl::Status FaultyFiles::NextChange() {
  std::lock_guard lock(mutex_);
  return counter_.NextFails() ? error_ : absl::OkStatus();
}

bool FaultyFiles::LeavesPart() {
  std::lock_guard lock(mutex_);
  return leaves_part_;
}

std::size_t FaultyFiles::BeforeWrite(std::size_t bytes) {
  std::function<void()> hook;
  std::size_t size;
  {
    std::lock_guard lock(mutex_);
    hook = on_write_;
    size = std::min(bytes, write_at_most_);
  }
  if (hook) hook();
  return size;
}

void FaultyFiles::SetUnsynced(const std::string& path, bool unsynced) {
  std::lock_guard lock(mutex_);
  unsynced_files_[path] = unsynced;
}

void FaultyFiles::LosePower() {
  std::lock_guard lock(mutex_);
  for (const auto& [path, unsynced] : unsynced_files_) {
    if (unsynced && std::filesystem::exists(path)) std::filesystem::resize_file(path, 0);
  }
  std::reverse(unsynced_names_.begin(), unsynced_names_.end());
  for (const auto& [from, to, replaced] : unsynced_names_) {
    if (!std::filesystem::exists(to)) continue;
    if (from.empty()) {
      std::filesystem::remove(to);
    } else {
      std::filesystem::rename(to, from);
    }
    if (!replaced.empty()) std::filesystem::rename(replaced, to);
  }
  unsynced_files_.clear();
  unsynced_names_.clear();
}

absl::StatusOr<std::unique_ptr<server::OutputFile>> FaultyFiles::Create(const std::string& path) {
  TOME_RETURN_IF_ERROR(NextChange());
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<server::OutputFile> file, real_.Create(path));
  return std::make_unique<File>(*this, path, std::move(file));
}

absl::StatusOr<std::unique_ptr<server::InputFile>> FaultyFiles::Open(const std::string& path) {
  return real_.Open(path);
}

absl::Status FaultyFiles::Rename(const std::string& from, const std::string& to) {
  TOME_RETURN_IF_ERROR(NextChange());
  std::lock_guard lock(mutex_);
  std::string replaced;
  if (std::filesystem::is_regular_file(to)) {
    replaced = replaced_.File(std::to_string(num_replaced_++));
    std::filesystem::create_hard_link(to, replaced);
  }
  TOME_RETURN_IF_ERROR(real_.Rename(from, to));
  unsynced_names_.push_back({from, to, replaced});
  const auto found = unsynced_files_.find(from);
  if (found != unsynced_files_.end()) unsynced_files_[to] = found->second;
  return absl::OkStatus();
}

absl::Status FaultyFiles::Remove(const std::string& path) {
  TOME_RETURN_IF_ERROR(NextChange());
  return real_.Remove(path);
}

absl::Status FaultyFiles::Link(const std::string& path, const std::string& name) {
  TOME_RETURN_IF_ERROR(NextChange());
  TOME_RETURN_IF_ERROR(real_.Link(path, name));
  std::lock_guard lock(mutex_);
  unsynced_names_.push_back({"", name, ""});
  return absl::OkStatus();
}

absl::Status FaultyFiles::SyncFolder(const std::string& path) {
  TOME_RETURN_IF_ERROR(NextChange());
  std::function<void(const std::string&)> hook;
  {
    std::lock_guard lock(mutex_);
    hook = on_folder_synced_;
    std::erase_if(unsynced_names_, [&](const Name& name) {
      const bool synced = std::filesystem::path(name.to).parent_path() == path;
      if (synced && !name.replaced.empty()) std::filesystem::remove(name.replaced);
      return synced;
    });
  }
  if (hook) hook(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FaultyFiles::List(const std::string& path) { return real_.List(path); }

}  // namespace tome::testing
