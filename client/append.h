// Sending a document, whatever happens on the way.
//
// The source's first byte is the document's first byte. What the document already holds is compared (the server accepts
// only exact repeats), so appending the same file again goes on where it was cut off, and is harmless when it is all
// there. What is not acknowledged stays in a bounded buffer; after a lost connection or a restarted server it is sent
// again from the committed offset.
#ifndef TOME_CLIENT_APPEND_H_
#define TOME_CLIENT_APPEND_H_

#include "absl/status/status.h"
#include "client/append_report.h"
#include "client/connection.h"
#include "client/source.h"

namespace tome::client {

// Blocks until done. `source` is read on another thread and interrupted at the end. `report` is always filled.
// CONTENT_MISMATCH errors (ABORTED) and FAILED_PRECONDITION say that the document holds something else than the source,
// and what they share; DATA_LOSS that the server has lost bytes it had acknowledged, or that its disk fails.
absl::Status AppendDocument(const Connection& connection, ByteSource& source, const AppendOptions& options,
                            const CallOptions& call_options, AppendReport* report);

}  // namespace tome::client

#endif  // TOME_CLIENT_APPEND_H_
