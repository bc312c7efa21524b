// Memory of the process as the system sees it.
#ifndef TOME_ENGINE_BASE_PROCESS_MEMORY_H_
#define TOME_ENGINE_BASE_PROCESS_MEMORY_H_

#include <cstddef>

namespace tome {

// Bytes in memory that no file stands behind: heap, stacks, weights that were packed. Mapped files are not in it, since
// the system takes their pages back when it needs them. 0 where the system does not say. Thread-safe.
std::size_t AnonymousBytes();

// Gives memory that was freed, and that the allocator keeps for later, back to the system. Takes some milliseconds for
// a gigabyte, in which other threads may wait to allocate. Thread-safe.
void ReturnFreedMemory();

}  // namespace tome

#endif  // TOME_ENGINE_BASE_PROCESS_MEMORY_H_
