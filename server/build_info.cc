#include "server/build_info.h"

#include "tome_revision.h"

namespace tome::server {

std::string BuildVersion() { return TOME_VERSION; }

std::string BuildRevision() { return TOME_REVISION; }

}  // namespace tome::server
