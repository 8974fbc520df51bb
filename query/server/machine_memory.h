#pragma once
// How much memory this process may use.

#include <cstdint>
#include <string>

namespace skald::query::server {

// The machine's, or less where its control groups say so (a container's limit, a unit's MemoryMax
// or MemoryHigh). `root` stands before /proc and /sys: for tests. 0: the system does not tell.
std::uint64_t machine_memory_bytes(const std::string& root = "");

}  // namespace skald::query::server
