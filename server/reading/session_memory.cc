#include "server/reading/session_memory.h"

#include "engine/base/status.h"
#include "engine/files/spill_folder.h"
#include "server/base/errors.h"

namespace tome::server {

std::size_t MaxResidentBytes(const Model& model, const MemoryOptions& options) {
  const std::size_t archive = model.spill_folder() == nullptr ? 0 : model.spill_folder()->resident_bytes();
  return Memory::MaxStateBytes(model.info().config, options, model.info().precision) + archive;
}

absl::StatusOr<MemoryOptions> WithinBudget(const MemoryOptions& options, const Model& model,
                                           std::size_t max_state_bytes) {
  if (max_state_bytes == 0) return options;
  return FitStateBytes(options, model.info().config, model.info().precision, max_state_bytes);
}

absl::StatusOr<MemoryOptions> ResolveMemoryOptions(const AskedMemory& asked, const SessionManagerOptions& server,
                                                   const Model& model, const std::string& field) {
  const ErrorDetails details = {.reason = "MEMORY_OPTIONS", .metadata = {{"field", field}}};
  const MemoryOptions& defaults = server.default_memory_options;
  MemoryOptions options = asked.options;
  if (options.sink_tokens == 0) options.sink_tokens = defaults.sink_tokens;
  if (options.window_tokens == 0) options.window_tokens = defaults.window_tokens;
  if (options.segment_tokens == 0) options.segment_tokens = defaults.segment_tokens;
  if (options.region_tokens == 0) options.region_tokens = defaults.region_tokens;
  if (options.attention.empty()) options.attention = defaults.attention;
  if (options.position_encoding.empty()) options.position_encoding = defaults.position_encoding;
  absl::StatusOr<RegionMemoryOptions> regions = ParseRegionMemoryOptions(asked.region_memory, defaults.regions);
  if (!regions.ok()) return WithDetails(regions.status(), details);
  options.regions = *regions;
  TOME_RETURN_IF_ERROR(WithDetails(ValidateMemoryOptions(options, model.info().config), details));
  const std::size_t budget = asked.max_state_bytes == 0 ? server.default_state_bytes : asked.max_state_bytes;
  const absl::StatusOr<MemoryOptions> within = WithinBudget(options, model, budget);
  if (!within.ok()) return WithDetails(within.status(), details);
  options = *within;
  const std::size_t needed = MaxResidentBytes(model, options);
  if (needed <= server.max_state_bytes) return options;
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      fmt::format("the session's attention state and archive could take {} bytes, the server allows {} for all", needed,
                  server.max_state_bytes),
      details);
}

}  // namespace tome::server
