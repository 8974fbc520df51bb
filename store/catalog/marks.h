#pragma once
// How far each file of each agent is stored: what makes a re-sent batch recognisable. One table per
// tenant; not synchronised.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/push.h"

namespace skald::store::catalog {

struct StoredMark {
  std::uint64_t end_offset = 0;
  std::int64_t touched_ns = 0;  // wall time; the longest untouched are forgotten first
};

class MarkTable {
 public:
  enum class Verdict { kNew, kDuplicate };
  // kDuplicate when every mark ends within what is stored. kConflict, naming file and stored
  // offset, when one starts elsewhere than its file's stored end. A new file may start anywhere.
  base::Result<Verdict> judge(const std::vector<model::FileMark>& marks) const;
  // Raises the ends. Returns what was there before, for restore().
  struct Undo {
    model::FileMark mark;
    bool existed = false;
    StoredMark before;
  };
  void apply(const std::vector<model::FileMark>& marks, std::int64_t now_ns,
             std::vector<Undo>* undo);
  void restore(const std::vector<Undo>& undo);  // newest first

  std::vector<model::FileMark> of_agent(std::string_view agent_id) const;
  void raise(std::string_view agent_id, std::string_view file_id, StoredMark mark);
  void forget_old(std::int64_t now_ns);
  std::size_t size() const noexcept { return size_; }

  template <typename F>
  void for_each(F&& visit) const {  // visit(agent, file, mark)
    for (const auto& [agent, files] : agents_)
      for (const auto& [file, mark] : files) visit(agent, file, mark);
  }

 private:
  const StoredMark* find(const std::string& agent, const std::string& file) const;
  std::map<std::string, std::map<std::string, StoredMark, std::less<>>, std::less<>> agents_;
  std::size_t size_ = 0;
};

}  // namespace skald::store::catalog
