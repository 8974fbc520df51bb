#pragma once
// What a stage looks for in lines, as a deterministic automaton that reads them piece by piece: a
// block whose lines are literals and values of columns feeds each distinct value once, not each
// line. It tells whether a line matches, and which part of it decides that and where the match is.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "query/logql/pattern.h"
#include "query/plan/byte_regex.h"

namespace skald::query::plan {

// Immutable but for a cache; workers share it.
class LineAutomaton {
 public:
  enum class Purpose {
    kMatch,   // whether a line matches
    kWindow,  // and a part of it in which the leftmost match is the same
  };
  // Null: not an expression or a pattern for it. `pattern` in RE2's syntax.
  static std::shared_ptr<const LineAutomaton> of_regex(std::string_view pattern, Purpose purpose);
  // Of `| pattern`, with the purpose kWindow.
  static std::shared_ptr<const LineAutomaton> of_pattern(const logql::Pattern& pattern);

  // How the windows are to be read.
  struct Reading {
    bool from_start = false;  // what is in front of the match matters, too
    // To the stage a line that does not match is as good as an empty one; if `begun`, only one in
    // which not even the beginning of a match was found.
    bool unmatched_is_empty = true;
    bool begun_matters = false;
  };
  const Reading& reading() const noexcept { return reading_; }

  // Shapes (store::Shape::id) whose lines have too many windows: not to be tried again.
  bool is_hopeless(std::uint64_t shape) const;
  void note_hopeless(std::uint64_t shape) const;

  class Run;
  ~LineAutomaton();

 private:
  struct States;
  LineAutomaton(ByteProgram program, bool drain, Reading reading);

  const ByteProgram program_;
  const bool drain_;  // a match is read on until nothing could change it
  const Reading reading_;
  std::vector<std::uint8_t> class_of_;     // of bytes that no step tells apart
  std::vector<unsigned char> example_of_;  // of each class, a byte
  std::uint32_t begun_ = 0;                // kByte step behind the first literal of a pattern
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<States>> idle_;  // states made by earlier runs
  mutable std::vector<std::uint64_t> hopeless_;
  mutable std::atomic<bool> too_large_{false};
};

// An automaton at work, of one worker.
class LineAutomaton::Run {
 public:
  using State = std::uint32_t;
  static constexpr State kStart = 0;

  explicit Run(const LineAutomaton& automaton);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Too many states: no state that it gave means anything.
  bool lost() const noexcept { return lost_; }
  // Behind some bytes. `anew`: among them is one before which nothing was seen that still matters.
  State feed(State state, std::string_view bytes, bool& anew);
  // Whether all values of these bytes, the empty one, too, lead to one state once `then` is behind
  // them; and if it must, always anew within `then`.
  bool ignores(State state, const ByteBits& bytes, std::string_view then, bool must_begin_anew);

  bool idle(State state) const;     // nothing of use was seen so far
  bool matched(State state) const;  // there is a match, whatever follows
  bool final(State state) const;    // nothing that follows matters
  bool begun(State state) const;    // the beginning of a pattern was found

 private:
  // States with a mark of the way to them.
  std::uint32_t next(State state, std::uint8_t byte_class);
  std::uint32_t make(State from, std::uint8_t byte_class);
  bool advance(const std::vector<std::uint32_t>& from, unsigned byte,
               std::vector<std::uint32_t>& threads);
  State intern(std::vector<std::uint32_t> threads);

  const LineAutomaton& automaton_;
  std::unique_ptr<States> states_;
  bool lost_ = false;
  std::vector<bool> seen_;
};

}  // namespace skald::query::plan
