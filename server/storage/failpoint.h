// Places at which a test lets the process die, as a crash of the machine or a kill could.
#ifndef TOME_SERVER_STORAGE_FAILPOINT_H_
#define TOME_SERVER_STORAGE_FAILPOINT_H_

#include <string_view>

namespace tome::server {

// All there are, in the order in which a session's life passes them.
inline constexpr std::string_view kFailpoints[] = {
    "create.filled",         // a session's folder is whole, but has not its name yet
    "create.renamed",        // it has, but that is not synced
    "append.before_commit",  // bytes are in the transaction
    "append.after_commit",   // they are durable, but not acknowledged
    "snapshot.begun",        // a part of the file is written
    "snapshot.written",      // all of it is, and synced, but it has not its name yet
    "snapshot.renamed",      // it has, but that is not synced
    "snapshot.synced",       // it is, but not registered
    "snapshot.registered",   // older files are still there
    "restore.loaded",        // a snapshot is in memory
    "fork.linked",           // the database of a session is also a base, and a new one is beside it
    "fork.rebased",          // the new one is in its place, but that is not synced
    "import.written",        // the documents of an archive are stored, in a folder without the session's name
    "delete.renamed",        // a session is gone, but its files are there
};

// Kills the process when the environment variable TOME_FAILPOINT has this name; with "NAME:N" at the N-th call.
// Otherwise it does nothing. Thread-safe.
void Failpoint(std::string_view name);

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_FAILPOINT_H_
