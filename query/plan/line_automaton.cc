#include "query/plan/line_automaton.h"

#include <algorithm>
#include <array>
#include <utility>

namespace skald::query::plan {
namespace {

using Step = ByteProgram::Step;

constexpr std::size_t kStatesMax = 512;
constexpr std::uint32_t kUnmade = 0xFFFFFFFF;

enum Mode : std::uint32_t {
  kIdle,       // a match may begin anywhere, and none has
  kSearching,  // the same, but one may have begun
  kTrying,     // only where it has begun
  kMatched,
};

}  // namespace

// A state is a mode and the steps that wait for a byte, ascending.
struct LineAutomaton::States {
  struct One {
    std::uint32_t mode = kIdle;
    std::vector<std::uint32_t> threads;
    bool idle() const { return mode == kIdle; }
    bool final() const { return threads.empty() && mode >= kTrying; }
  };
  std::vector<One> all;
  std::map<std::vector<std::uint32_t>, Run::State> known;  // threads, and the mode behind them
  std::vector<std::uint32_t> next;                         // by state and class of bytes
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
  std::vector<std::uint32_t> key = start;
  key.push_back(program.anchored ? kTrying : kIdle);
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

LineAutomaton::Run::State LineAutomaton::Run::make(State from, std::uint8_t byte_class) {
  const std::vector<Step>& steps = automaton_.program_.steps;
  const unsigned byte = automaton_.example_of_[byte_class];
  std::vector<std::uint32_t> todo, threads;
  std::uint32_t mode = states_->all[from].mode;
  for (const std::uint32_t thread : states_->all[from].threads)
    if (has_byte(steps[thread].bytes, byte)) todo.push_back(steps[thread].next);
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    todo.pop_back();
    if (seen_[at]) continue;
    seen_[at] = true;
    const Step& step = steps[at];
    if (step.kind == Step::Kind::kFork) todo.insert(todo.end(), {step.next, step.or_});
    if (step.kind == Step::Kind::kByte) threads.push_back(at);
    if (step.kind == Step::Kind::kMatch) mode = kMatched;
  }
  std::fill(seen_.begin(), seen_.end(), false);
  // Matches that would begin from now on are not the leftmost.
  if (mode == kMatched && !automaton_.drain_) threads.clear();
  if (mode == kIdle || mode == kSearching) {
    mode = threads.empty() ? kIdle : kSearching;
    threads.insert(threads.end(), states_->start.begin(), states_->start.end());
  }
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  threads.push_back(mode);
  return intern(std::move(threads));
}

LineAutomaton::Run::State LineAutomaton::Run::next(State state, std::uint8_t byte_class) {
  const std::size_t at = state * automaton_.example_of_.size() + byte_class;
  if (states_->next[at] == kUnmade) {
    const State made = make(state, byte_class);
    states_->next[at] = made;
  }
  return states_->next[at];
}

LineAutomaton::Run::State LineAutomaton::Run::feed(State state, std::string_view bytes,
                                                   bool& idled) {
  idled = false;
  const std::uint8_t* const class_of = automaton_.class_of_.data();
  const std::size_t classes = automaton_.example_of_.size();
  const std::uint32_t* row = states_->next.data() + state * classes;
  for (const char c : bytes) {
    const std::uint8_t byte_class = class_of[static_cast<unsigned char>(c)];
    State to = row[byte_class];
    if (to == state) continue;
    if (to == kUnmade) to = next(state, byte_class);
    if (lost_) return kStart;
    state = to;
    row = states_->next.data() + state * classes;
    const States::One& now = states_->all[state];
    if (now.final()) return state;
    idled = idled || now.idle();
  }
  idled = idled || idle(state);
  return state;
}

bool LineAutomaton::Run::stays(State state, const ByteBits& bytes) {
  if (final(state)) return true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!has_byte(bytes, byte)) continue;
    if (next(state, automaton_.class_of_[byte]) != state || lost_) return false;
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
