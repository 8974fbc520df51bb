#include "query/plan/line_automaton.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace skald::query::plan {
namespace {

using Step = ByteProgram::Step;

constexpr std::size_t kStatesMax = 512;
constexpr std::uint32_t kUnmade = 0xFFFFFFFF;

enum Mode : std::uint32_t {
  kSearching,  // a match may begin anywhere
  kTrying,     // only where the line does
  kMatched,
};

// Of a transition: no match that may have begun before it goes on.
constexpr std::uint32_t kAnew = 0x80000000;
// Of states between two literals; with more, the column between them is read.
constexpr std::size_t kReachMax = 16;

}  // namespace

// A state is a mode and the steps that wait for a byte, ascending; those of a match that may begin
// here go without saying.
struct LineAutomaton::States {
  struct One {
    std::uint32_t mode = kSearching;
    std::vector<std::uint32_t> threads;
    bool idle() const { return threads.empty() && mode == kSearching; }
    bool final() const { return threads.empty() && mode != kSearching; }
  };
  std::vector<One> all;
  std::map<std::vector<std::uint32_t>, Run::State> known;  // threads, and the mode behind them
  std::vector<std::uint32_t> next;                         // by state and class; and kAnew
  std::vector<std::uint32_t> start;                        // threads of a beginning
};

LineAutomaton::LineAutomaton(ByteProgram program, bool drain, Reading reading)
    : program_(std::move(program)), drain_(drain), reading_(reading), class_of_(256) {
  // Classes are split by each set in turn: those in it and those that are not get new numbers.
  constexpr std::uint32_t kBytes = 256;
  std::uint32_t count = 1;
  std::array<std::uint32_t, kBytes> number{};
  for (const Step& step : program_.steps) {
    if (step.kind != Step::Kind::kByte) continue;
    std::array<std::uint32_t, 2 * kBytes> split;
    split.fill(kUnmade);
    count = 0;
    for (unsigned byte = 0; byte < kBytes; ++byte) {
      std::uint32_t& known = split[2 * number[byte] + (has_byte(step.bytes, byte) ? 1 : 0)];
      if (known == kUnmade) known = count++;
      number[byte] = known;
    }
  }
  example_of_.resize(count);
  for (unsigned byte = 0; byte < kBytes; ++byte) {
    class_of_[byte] = static_cast<std::uint8_t>(number[byte]);
    example_of_[number[byte]] = static_cast<unsigned char>(byte);
  }
}

LineAutomaton::~LineAutomaton() = default;

bool LineAutomaton::is_hopeless(std::uint64_t shape) const {
  const std::lock_guard lock(mutex_);
  return std::find(hopeless_.begin(), hopeless_.end(), shape) != hopeless_.end();
}
void LineAutomaton::note_hopeless(std::uint64_t shape) const {
  const std::lock_guard lock(mutex_);
  hopeless_.push_back(shape);
}

std::shared_ptr<const LineAutomaton> LineAutomaton::of_regex(std::string_view pattern,
                                                             Purpose purpose) {
  auto program = byte_program(pattern);
  if (!program) return nullptr;
  Reading reading;
  reading.from_start = program->anchored;
  return std::shared_ptr<const LineAutomaton>(
      new LineAutomaton(std::move(*program), purpose == Purpose::kWindow, reading));
}

// The stage finds one literal after the other. If all are there, nothing behind the last matters,
// unless a capture takes it; if some are missing, the capture before takes the rest of the line.
std::shared_ptr<const LineAutomaton> LineAutomaton::of_pattern(const logql::Pattern& pattern) {
  std::vector<std::string> literals;
  for (const logql::Pattern::Node& node : pattern.nodes())
    if (!node.capture) literals.push_back(node.text);
  const auto is_named = [](const logql::Pattern::Node& node) {
    return node.capture && node.text != "_";
  };
  if (literals.empty() || is_named(pattern.nodes().back())) return nullptr;
  Reading reading;
  const logql::Pattern::Node& first = pattern.nodes().front();
  reading.from_start = !first.capture || is_named(first);
  reading.unmatched_is_empty = !is_named(first);
  reading.begun_matters = true;
  ByteProgram program = byte_program(literals);
  const auto begun = static_cast<std::uint32_t>(literals.front().size()) + 1;
  const bool several = literals.size() > 1;
  std::shared_ptr<LineAutomaton> out(new LineAutomaton(std::move(program), false, reading));
  out->begun_ = several ? begun : kUnmade;
  return out;
}

LineAutomaton::Run::Run(const LineAutomaton& automaton)
    : automaton_(automaton), lost_(automaton.too_large_), seen_(automaton.program_.steps.size()) {
  {
    const std::lock_guard lock(automaton.mutex_);
    if (!automaton.idle_.empty()) {
      states_ = std::move(automaton.idle_.back());
      automaton.idle_.pop_back();
      return;
    }
  }
  states_ = std::make_unique<States>();
  const ByteProgram& program = automaton.program_;
  std::vector<std::uint32_t>& start = states_->start;
  // The way from a step to those that wait for a byte.
  std::vector<std::uint32_t> todo{program.start};
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    todo.pop_back();
    if (seen_[at]) continue;
    seen_[at] = true;
    const Step& step = program.steps[at];
    if (step.kind == Step::Kind::kFork) todo.insert(todo.end(), {step.next, step.or_});
    if (step.kind == Step::Kind::kByte) start.push_back(at);
  }
  std::fill(seen_.begin(), seen_.end(), false);
  std::sort(start.begin(), start.end());
  std::vector<std::uint32_t> key;
  if (program.anchored) key = start;
  key.push_back(program.anchored ? kTrying : kSearching);
  intern(std::move(key));
}

LineAutomaton::Run::~Run() {
  if (lost_) {
    automaton_.too_large_ = true;
    return;
  }
  const std::lock_guard lock(automaton_.mutex_);
  automaton_.idle_.push_back(std::move(states_));
}

LineAutomaton::Run::State LineAutomaton::Run::intern(std::vector<std::uint32_t> key) {
  const auto [known, is_new] =
      states_->known.try_emplace(std::move(key), static_cast<State>(states_->all.size()));
  if (!is_new) return known->second;
  if (states_->all.size() >= kStatesMax) {
    lost_ = true;
    states_->known.erase(known);
    return kStart;
  }
  const std::vector<std::uint32_t>& threads = known->first;
  states_->all.push_back({threads.back(), {threads.begin(), threads.end() - 1}});
  states_->next.resize(states_->all.size() * automaton_.example_of_.size(), kUnmade);
  return known->second;
}

// The steps that wait behind those of `from` that take the byte, but those already there. True:
// one of them is a match.
bool LineAutomaton::Run::advance(const std::vector<std::uint32_t>& from, unsigned byte,
                                 std::vector<std::uint32_t>& threads) {
  const std::vector<Step>& steps = automaton_.program_.steps;
  std::vector<std::uint32_t> todo;
  for (const std::uint32_t thread : from)
    if (has_byte(steps[thread].bytes, byte)) todo.push_back(steps[thread].next);
  bool matched = false;
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    todo.pop_back();
    if (seen_[at]) continue;
    seen_[at] = true;
    const Step& step = steps[at];
    if (step.kind == Step::Kind::kFork) todo.insert(todo.end(), {step.next, step.or_});
    if (step.kind == Step::Kind::kByte) threads.push_back(at);
    if (step.kind == Step::Kind::kMatch) matched = true;
  }
  return matched;
}

std::uint32_t LineAutomaton::Run::make(State from, std::uint8_t byte_class) {
  const unsigned byte = automaton_.example_of_[byte_class];
  std::uint32_t mode = states_->all[from].mode;
  std::vector<std::uint32_t> threads;
  bool matched = advance(states_->all[from].threads, byte, threads);
  const bool anew = mode == kSearching && threads.empty() && !matched;
  // Matches that would begin behind the end of one are not the leftmost.
  if (mode == kSearching) matched = advance(states_->start, byte, threads) || matched;
  std::fill(seen_.begin(), seen_.end(), false);
  if (matched) mode = kMatched;
  if (mode == kMatched && !automaton_.drain_) threads.clear();
  std::sort(threads.begin(), threads.end());
  threads.push_back(mode);
  return intern(std::move(threads)) | (anew ? kAnew : 0);
}

std::uint32_t LineAutomaton::Run::next(State state, std::uint8_t byte_class) {
  const std::size_t at = state * automaton_.example_of_.size() + byte_class;
  if (states_->next[at] == kUnmade) {
    const std::uint32_t made = make(state, byte_class);
    states_->next[at] = made;
  }
  return states_->next[at];
}

LineAutomaton::Run::State LineAutomaton::Run::feed(State state, std::string_view bytes,
                                                   bool& anew) {
  const std::uint8_t* const class_of = automaton_.class_of_.data();
  const std::size_t classes = automaton_.example_of_.size();
  const std::uint32_t* row = states_->next.data() + state * classes;
  std::uint32_t last = kUnmade, all = 0;
  for (const char c : bytes) {
    const std::uint8_t byte_class = class_of[static_cast<unsigned char>(c)];
    std::uint32_t to = row[byte_class];
    if (to == kUnmade)
      to = next(state, byte_class);
    else if (to == last)
      continue;
    if (lost_) break;
    last = to;
    all |= to;
    state = to & ~kAnew;
    if (states_->all[state].final()) break;
    row = states_->next.data() + state * classes;
  }
  anew = (all & kAnew) != 0;
  return lost_ ? kStart : state;
}

bool LineAutomaton::Run::ignores(State state, const ByteBits& bytes, std::string_view then,
                                 bool must_begin_anew) {
  if (final(state)) return true;
  std::vector<bool> among(automaton_.example_of_.size());
  for (unsigned byte = 0; byte < 256; ++byte)
    if (has_byte(bytes, byte)) among[automaton_.class_of_[byte]] = true;
  // The states that values lead to, from none of which `then` may lead elsewhere.
  std::vector<State> reached{state};
  std::optional<State> end;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (matched(reached[i]) || final(reached[i])) return false;
    bool anew = false;
    const State to = feed(reached[i], then, anew);
    if (lost_ || (end && *end != to) || (must_begin_anew && !anew)) return false;
    end = to;
    for (std::size_t c = 0; c < among.size(); ++c) {
      if (!among[c]) continue;
      const State by = next(reached[i], static_cast<std::uint8_t>(c)) & ~kAnew;
      if (lost_) return false;
      if (std::find(reached.begin(), reached.end(), by) == reached.end()) reached.push_back(by);
    }
    if (reached.size() > kReachMax) return false;
  }
  return true;
}

bool LineAutomaton::Run::idle(State state) const { return states_->all[state].idle(); }
bool LineAutomaton::Run::matched(State state) const { return states_->all[state].mode == kMatched; }
bool LineAutomaton::Run::final(State state) const { return states_->all[state].final(); }
bool LineAutomaton::Run::begun(State state) const {
  const std::vector<std::uint32_t>& threads = states_->all[state].threads;
  return std::binary_search(threads.begin(), threads.end(), automaton_.begun_);
}

}  // namespace skald::query::plan
