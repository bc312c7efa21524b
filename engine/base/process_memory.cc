#include "engine/base/process_memory.h"

#include <malloc.h>

#include <fstream>
#include <limits>
#include <string>

namespace tome {

std::size_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    std::size_t kilobytes = 0;
    if (key == "RssAnon:" && status >> kilobytes) return kilobytes * 1024;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

void ReturnFreedMemory() { malloc_trim(/*pad=*/0); }

}  // namespace tome
