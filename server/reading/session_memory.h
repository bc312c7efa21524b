// What a new session's memory options become.
#ifndef TOME_SERVER_READING_SESSION_MEMORY_H_
#define TOME_SERVER_READING_SESSION_MEMORY_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/base/options.h"
#include "server/base/types.h"

namespace tome::server {

// The most memory that a session with these options needs: its state, and the part of its archive that is not in files.
std::size_t MaxResidentBytes(const Model& model, const MemoryOptions& options);

// `asked` with the server's defaults for what it leaves open, within its budget. INVALID_ARGUMENT/MEMORY_OPTIONS
// {field} when the model cannot attend to so much, the budget is too small, or one such session would need more than
// all may have.
absl::StatusOr<MemoryOptions> ResolveMemoryOptions(const AskedMemory& asked, const SessionManagerOptions& server,
                                                   const Model& model, const std::string& field);

// FitStateBytes, where 0 is no budget.
absl::StatusOr<MemoryOptions> WithinBudget(const MemoryOptions& options, const Model& model,
                                           std::size_t max_state_bytes);

}  // namespace tome::server

#endif  // TOME_SERVER_READING_SESSION_MEMORY_H_
