// Lines that gRPC and Protobuf would write to stderr themselves.
#ifndef TOME_SERVER_RPC_LIBRARY_LOGS_H_
#define TOME_SERVER_RPC_LIBRARY_LOGS_H_

namespace tome::server {

// Sends them to spdlog's default logger at level debug: what matters of them comes back as an error of a call anyway.
// Call it once, before either library is used.
void RouteLibraryLogs();

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_LIBRARY_LOGS_H_
