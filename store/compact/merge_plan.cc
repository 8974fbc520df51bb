#include "store/compact/merge_plan.h"

#include <algorithm>

#include "store/compact/limits.h"

namespace skald::store::compact {
namespace {

// A store of the time when names took in more than their rows has such parts: the name of a run
// that began between them would cover one that is not its input.
bool overlap(const catalog::PartHandle& older, const catalog::PartHandle& newer) {
  return older.meta().name.last_sequence >= newer.meta().name.first_sequence;
}

// Newest first, as long as the next older part is not much larger than what was taken so far.
// Returns the runs of parts [begin, end), which are neighbours of one day.
void plan_neighbours(const catalog::PartList& parts, std::size_t begin, std::size_t end,
                     std::size_t parts_min,
                     const std::function<bool(const catalog::PartHandle&)>& must,
                     std::vector<MergeRun>& out) {
  while (end > begin) {
    std::size_t first = end - 1;
    std::uint64_t bytes = parts[first]->meta().line_bytes;
    while (first > begin) {
      const std::uint64_t older = parts[first - 1]->meta().line_bytes;
      if ((bytes + older > kMergedBytesMax || older > bytes * kSizeRatioMax) &&
          !overlap(*parts[first - 1], *parts[first]))
        break;
      bytes += older;
      --first;
    }
    const std::size_t count = end - first;
    const bool fresh = count == 1 && parts[first]->meta().name.level == 0;
    const bool worth = count > 1 ? count >= parts_min : (fresh && parts_min <= 1);
    const auto from = parts.begin() + static_cast<std::ptrdiff_t>(first);
    const auto to = parts.begin() + static_cast<std::ptrdiff_t>(end);
    if (worth || std::any_of(from, to, [&](const auto& part) { return must(*part); }))
      out.push_back({{from, to}});
    end = first;
  }
}

}  // namespace

std::vector<MergeRun> plan_merges(const catalog::PartList& parts, std::size_t parts_min,
                                  const std::function<bool(const catalog::PartHandle&)>& must) {
  std::vector<MergeRun> out;
  std::size_t begin = 0;
  while (begin < parts.size()) {
    std::size_t end = begin;
    while (end < parts.size() && !parts[end]->damaged() &&
           parts[end]->meta().name.day == parts[begin]->meta().name.day)
      ++end;
    plan_neighbours(parts, begin, end, parts_min, must, out);
    begin = std::max(end, begin + 1);
  }
  return out;
}

}  // namespace skald::store::compact
