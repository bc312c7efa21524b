// Memory options that nobody gave follow the model.
#ifndef TOME_SERVER_MEMORY_DEFAULTS_H_
#define TOME_SERVER_MEMORY_DEFAULTS_H_

#include "absl/status/status.h"
#include "engine/engine.h"
#include "server/server_config.h"

namespace tome::server {

// Fits the memory options that nobody gave to `model`; see FitMemoryOptions. Afterwards they count as given, and
// config->fitted says what came of it. INVALID_ARGUMENT names the flags that were given and do not fit.
absl::Status FitMemory(const LlamaConfig& model, Precision computed, ServerConfig* config);

}  // namespace tome::server

#endif  // TOME_SERVER_MEMORY_DEFAULTS_H_
