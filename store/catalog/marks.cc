#include "store/catalog/marks.h"

#include <algorithm>
#include <utility>

#include "store/catalog/limits.h"

namespace skald::store::catalog {

const StoredMark* MarkTable::find(const std::string& agent, const std::string& file) const {
  const auto files = agents_.find(agent);
  if (files == agents_.end()) return nullptr;
  const auto mark = files->second.find(file);
  return mark == files->second.end() ? nullptr : &mark->second;
}

base::Result<MarkTable::Verdict> MarkTable::judge(const std::vector<model::FileMark>& marks) const {
  if (marks.empty()) return Verdict::kNew;
  bool duplicate = true;
  for (const auto& mark : marks) {
    if (mark.end_offset < mark.start_offset)
      return base::invalid_argument("file mark of " + mark.file_id + " ends at " +
                                    std::to_string(mark.end_offset) + ", before its start at " +
                                    std::to_string(mark.start_offset));
    const StoredMark* stored = find(mark.agent_id, mark.file_id);
    duplicate = duplicate && stored != nullptr && mark.end_offset <= stored->end_offset;
  }
  if (duplicate) return Verdict::kDuplicate;
  // Several ranges of one file in one batch continue each other.
  std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> ends;
  for (const auto& mark : marks) {
    const auto key = std::pair<std::string_view, std::string_view>(mark.agent_id, mark.file_id);
    auto end = ends.find(key);
    if (end == ends.end()) {
      const StoredMark* stored = find(mark.agent_id, mark.file_id);
      end = ends.emplace(key, stored != nullptr ? stored->end_offset : mark.start_offset).first;
    }
    if (mark.start_offset != end->second)
      return base::conflict("file " + mark.file_id + " of agent " + mark.agent_id +
                            " is stored up to offset " + std::to_string(end->second) +
                            ", but the batch starts at " + std::to_string(mark.start_offset) +
                            "; ask for the marks and resume there");
    end->second = mark.end_offset;
  }
  return Verdict::kNew;
}

void MarkTable::raise(std::string_view agent_id, std::string_view file_id, StoredMark mark) {
  StoredMark& stored = [&]() -> StoredMark& {
    auto& files = agents_[std::string(agent_id)];
    const auto [at, added] = files.try_emplace(std::string(file_id));
    if (added) ++size_;
    return at->second;
  }();
  stored.end_offset = std::max(stored.end_offset, mark.end_offset);
  stored.touched_ns = std::max(stored.touched_ns, mark.touched_ns);
}

void MarkTable::apply(const std::vector<model::FileMark>& marks, std::int64_t now_ns,
                      std::vector<Undo>* undo) {
  for (const auto& mark : marks) {
    if (undo != nullptr) {
      const StoredMark* stored = find(mark.agent_id, mark.file_id);
      undo->push_back({mark, stored != nullptr, stored != nullptr ? *stored : StoredMark{}});
    }
    raise(mark.agent_id, mark.file_id, {mark.end_offset, now_ns});
  }
}

void MarkTable::restore(const std::vector<Undo>& undo) {
  for (auto it = undo.rbegin(); it != undo.rend(); ++it) {
    auto& files = agents_[it->mark.agent_id];
    if (it->existed) {
      files[it->mark.file_id] = it->before;
    } else {
      size_ -= files.erase(it->mark.file_id);
      if (files.empty()) agents_.erase(it->mark.agent_id);
    }
  }
}

std::vector<model::FileMark> MarkTable::of_agent(std::string_view agent_id) const {
  std::vector<model::FileMark> out;
  const auto files = agents_.find(agent_id);
  if (files == agents_.end()) return out;
  for (const auto& [file, mark] : files->second)
    out.push_back({std::string(agent_id), file, 0, mark.end_offset});
  return out;
}

void MarkTable::forget_old(std::int64_t now_ns) {
  std::int64_t oldest_ns = now_ns - kMarkAgeMaxNs;
  if (size_ > kMarksPerTenantMax) {
    std::vector<std::int64_t> times;
    for_each([&](const auto&, const auto&, const StoredMark& mark) {
      times.push_back(mark.touched_ns);
    });
    const auto cut = times.begin() + static_cast<std::ptrdiff_t>(size_ - kMarksPerTenantMax);
    std::nth_element(times.begin(), cut, times.end());
    oldest_ns = std::max(oldest_ns, *cut);
  }
  for (auto files = agents_.begin(); files != agents_.end();) {
    size_ -= std::erase_if(files->second,
                           [&](const auto& item) { return item.second.touched_ns < oldest_ns; });
    files = files->second.empty() ? agents_.erase(files) : std::next(files);
  }
}

}  // namespace skald::store::catalog
