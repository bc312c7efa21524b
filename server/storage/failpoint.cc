#include "server/storage/failpoint.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace tome::server {
namespace {

struct Setting {
  std::string name;
  std::atomic<int> calls_left = 1;
};

// Null when nothing is set. Lives as long as the process.
Setting* ReadSetting() {
  const char* const value = std::getenv("TOME_FAILPOINT");
  if (value == nullptr) return nullptr;
  auto* setting = new Setting;
  setting->name = value;
  if (const std::size_t colon = setting->name.find(':'); colon != std::string::npos) {
    setting->calls_left = std::atoi(setting->name.c_str() + colon + 1);
    setting->name.resize(colon);
  }
  return setting;
}

}  // namespace

void Failpoint(std::string_view name) {
  static Setting* const setting = ReadSetting();
  if (setting != nullptr && setting->name == name && --setting->calls_left == 0) std::raise(SIGKILL);
}

}  // namespace tome::server
