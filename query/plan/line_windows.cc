#include "query/plan/line_windows.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "query/plan/pair_numbers.h"

namespace skald::query::plan {
namespace {

constexpr std::size_t kWindowBytesMax = 1U << 20;  // of a block's windows together
constexpr std::size_t kFewWindows = 256;

// The rows of a block while their lines are read, from the left to the right, all at once.
class Walk {
 public:
  // `texts`: windows are wanted, too.
  Walk(store::Block& block, const LineAutomaton& automaton, const store::Selection& selection,
       bool texts)
      : block_(block),
        selection_(selection),
        run_(automaton),
        texts_(texts),
        from_start_(automaton.reading().from_start),
        rows_(selection.count()),
        groups_most_(std::max<std::size_t>(kFewWindows, rows_ / 4)),
        groups_(1) {}

  struct Group {
    LineAutomaton::Run::State state = LineAutomaton::Run::kStart;
    std::string text;  // of the window so far
  };

  // False: not for this block.
  base::Result<bool> run() {
    const auto literals = block_.line_literals();
    if (literals.empty()) return false;
    for (std::size_t i = 0; i < literals.size() && !all_final() && !given_up(); ++i) {
      fixed(literals[i]);
      if (i + 1 < literals.size() && !given_up() && !all_final() && !ignores(i, literals[i + 1]))
        SKALD_TRY(field(i));
    }
    return !given_up();
  }

  LineAutomaton::Run& automaton() { return run_; }
  std::vector<Group>& groups() { return groups_; }
  std::vector<std::uint32_t>& ids() { return ids_; }

 private:
  bool given_up() const { return run_.lost() || too_many_; }
  bool all_final() const {
    return std::all_of(groups_.begin(), groups_.end(),
                       [&](const Group& group) { return run_.final(group.state); });
  }
  // Whether what a line has up to here does not matter to it any more.
  bool forgets(LineAutomaton::Run::State state) const {
    return !texts_ || (run_.idle(state) && !from_start_) ||
           (run_.final(state) && !run_.matched(state));
  }

  // The number among next_ of what a group becomes by a piece of its lines.
  std::uint32_t after(std::uint32_t before, std::string_view piece) {
    if (settled_[before] != PairNumbers::kUnseen) return settled_[before];
    const Group& group = groups_[before];
    bool anew = false;
    Group out;
    out.state = run_.feed(group.state, piece, anew);
    if (given_up()) return 0;
    if (!forgets(out.state)) {
      if (from_start_ || !anew) out.text = group.text;
      out.text += piece;
    }
    return number(std::move(out));
  }
  std::uint32_t number(Group group) {
    if (forgets(group.state)) {
      if (group.state >= by_state_.size()) by_state_.resize(group.state + 1, PairNumbers::kUnseen);
      std::uint32_t& known = by_state_[group.state];
      if (known != PairNumbers::kUnseen) return known;
      known = static_cast<std::uint32_t>(next_.size());
    }
    text_bytes_ += group.text.size();
    next_.push_back(std::move(group));
    too_many_ = too_many_ || next_.size() > groups_most_ || text_bytes_ > kWindowBytesMax;
    return static_cast<std::uint32_t>(next_.size() - 1);
  }
  // Groups to which nothing that follows matters are the same behind every piece.
  void begin_piece() {
    next_.clear();
    by_state_.clear();
    text_bytes_ = 0;
    settled_.assign(groups_.size(), PairNumbers::kUnseen);
    for (std::size_t g = 0; g < groups_.size(); ++g)
      if (run_.final(groups_[g].state)) settled_[g] = number(std::move(groups_[g]));
  }

  // Bytes that all rows have.
  void fixed(std::string_view piece) {
    begin_piece();
    std::vector<std::uint32_t> becomes;
    for (std::uint32_t g = 0; g < groups_.size() && !given_up(); ++g)
      becomes.push_back(after(g, piece));
    if (given_up()) return;
    bool moved = false;
    for (std::uint32_t g = 0; g < becomes.size(); ++g) moved = moved || becomes[g] != g;
    if (moved)
      for (std::uint32_t& id : ids_) id = becomes[id];
    groups_ = std::move(next_);
  }

  // Whether the values of the field make no difference once the literal behind them is read.
  bool ignores(std::size_t field, std::string_view literal) {
    const ByteBits bytes = block_.field_bytes(field);
    return std::all_of(groups_.begin(), groups_.end(), [&](const Group& group) {
      if (run_.final(group.state)) return true;
      return !(texts_ && from_start_) && run_.ignores(group.state, bytes, literal, texts_);
    });
  }

  base::Status field(std::size_t field) {
    store::TextColumn values;
    SKALD_TRY(block_.read_written(field, selection_, values));
    if (values.ids.empty() && values.entries.size() == 1) {
      fixed(values.entries[0]);
      return {};
    }
    if (ids_.empty()) ids_.assign(rows_, 0);
    if (values.ids.empty() && !std::all_of(groups_.begin(), groups_.end(), [&](const Group& group) {
          return run_.final(group.state) || forgets(group.state);
        }))
      number_values(values);
    begin_piece();
    if (values.ids.empty())
      each_row(values);
    else
      each_value(values);
    groups_ = std::move(next_);
    return {};
  }

  // Equal values of windows must be known as such. Leaves the column as it is if they are many.
  void number_values(store::TextColumn& values) const {
    std::unordered_map<std::string_view, std::uint32_t> known;
    std::vector<std::uint32_t> ids;
    std::vector<std::string_view> entries;
    for (const std::string_view value : values.entries) {
      const auto [it, is_new] =
          known.try_emplace(value, static_cast<std::uint32_t>(entries.size()));
      if (is_new) entries.push_back(value);
      if (entries.size() > groups_most_) return;
      ids.push_back(it->second);
    }
    values.ids = std::move(ids);
    values.entries = std::move(entries);
  }
  void each_row(const store::TextColumn& values) {
    for (std::size_t i = 0; i < rows_ && !given_up(); ++i)
      ids_[i] = after(ids_[i], values.entries[i]);
  }
  void each_value(const store::TextColumn& values) {
    PairNumbers numbers(groups_.size(), values.entries.size());
    for (std::size_t i = 0; i < rows_ && !given_up(); ++i) {
      std::uint32_t& becomes = numbers.at(ids_[i], values.ids[i]);
      if (becomes == PairNumbers::kUnseen) becomes = after(ids_[i], values.entries[values.ids[i]]);
      ids_[i] = becomes;
    }
  }

  store::Block& block_;
  const store::Selection& selection_;
  LineAutomaton::Run run_;
  const bool texts_, from_start_;
  const std::size_t rows_, groups_most_;
  std::vector<Group> groups_, next_;
  std::vector<std::uint32_t> by_state_;  // of next_: the group of each state without a text
  std::vector<std::uint32_t> settled_;   // by group: its number in next_, whatever the piece
  std::vector<std::uint32_t> ids_;       // by selected row; empty: all are in groups_[0]
  std::size_t text_bytes_ = 0;
  bool too_many_ = false;
};

}  // namespace

base::Result<bool> keep_matching(store::Block& block, const LineAutomaton& automaton,
                                 store::Selection& selection) {
  Walk walk(block, automaton, selection, false);
  SKALD_TRY_ASSIGN(const bool done, walk.run());
  if (!done) return false;
  const auto matches = [&](std::uint32_t id) {
    return walk.automaton().matched(walk.groups()[id].state);
  };
  const std::vector<std::uint32_t>& ids = walk.ids();
  if (ids.empty()) {
    if (!matches(0)) selection.clear();
    return true;
  }
  store::Selection kept(selection.rows());
  std::size_t i = 0;
  selection.for_each([&](std::uint32_t row) {
    if (matches(ids[i++])) kept.set(row);
  });
  selection = std::move(kept);
  return true;
}

base::Result<std::optional<LineWindows>> find_windows(store::Block& block,
                                                      const LineAutomaton& automaton,
                                                      const store::Selection& selection) {
  std::optional<LineWindows> out;
  const std::uint64_t shape = block.shape().id;
  if (block.line_literals().empty() || automaton.is_hopeless(shape)) return out;
  Walk walk(block, automaton, selection, true);
  SKALD_TRY_ASSIGN(const bool done, walk.run());
  if (!done) {
    automaton.note_hopeless(shape);
    return out;
  }
  out.emplace();
  const LineAutomaton::Reading& reading = automaton.reading();
  for (Walk::Group& group : walk.groups()) {
    LineWindows::Window& window = out->windows.emplace_back();
    if (walk.automaton().matched(group.state))
      window.text = std::move(group.text);
    else
      window.unknown = !reading.unmatched_is_empty ||
                       (reading.begun_matters && walk.automaton().begun(group.state));
  }
  out->ids = std::move(walk.ids());
  return out;
}

}  // namespace skald::query::plan
