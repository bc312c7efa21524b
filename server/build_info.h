// What this binary was built from.
#ifndef TOME_SERVER_BUILD_INFO_H_
#define TOME_SERVER_BUILD_INFO_H_

#include <string>

namespace tome::server {

// "0.1.0".
std::string BuildVersion();

// The git revision, with "-dirty" when tracked files were changed; "unknown" outside a git tree.
std::string BuildRevision();

}  // namespace tome::server

#endif  // TOME_SERVER_BUILD_INFO_H_
