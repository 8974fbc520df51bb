#include "query/server/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string_view>

namespace skald::query::server {
namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

// The number in the file; kNone if there is no file or no limit ("max").
std::uint64_t limit_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return error == std::errc() && end == text.data() + text.size() ? bytes : kNone;
}

// The smallest limit of a group and those it is in.
std::uint64_t limit_of(const std::string& mount, std::string group, bool unified) {
  std::uint64_t least = kNone;
  for (;;) {
    if (group == "/") group.clear();
    const std::string directory = mount + group;
    if (unified)
      least = std::min(
          {least, limit_in(directory + "/memory.max"), limit_in(directory + "/memory.high")});
    else
      least = std::min(least, limit_in(directory + "/memory.limit_in_bytes"));
    if (group.empty()) return least;
    const auto slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

bool has_controller(std::string_view list, std::string_view name) {
  for (;;) {
    const auto comma = list.find(',');
    if (list.substr(0, comma) == name) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::uint64_t machine_memory_bytes(const std::string& root) {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  std::uint64_t least = pages > 0 && page_bytes > 0 ? static_cast<std::uint64_t>(pages) *
                                                          static_cast<std::uint64_t>(page_bytes)
                                                    : kNone;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:/path
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty())
      least = std::min(least, limit_of(root + "/sys/fs/cgroup", group, true));
    else if (has_controller(controllers, "memory"))
      least = std::min(least, limit_of(root + "/sys/fs/cgroup/memory", group, false));
  }
  return least == kNone ? 0 : least;
}

}  // namespace skald::query::server
