#include "query/plan/byte_regex.h"

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

namespace skald::query::plan {
namespace {

constexpr std::size_t kStepsMax = 512;  // a larger program costs more than it saves
constexpr int kDepthMax = 50;           // of groups
constexpr std::uint32_t kNowhere = 0xFFFFFFFF;

void add_range(ByteBits& bits, unsigned low, unsigned high) {
  for (unsigned byte = low; byte <= high; ++byte)
    bits[byte / 64] |= std::uint64_t{1} << (byte % 64);
}

// A set of characters: which of ASCII, and whether all others.
struct CharSet {
  ByteBits ascii{};
  bool others = false;

  void add(unsigned low, unsigned high) { add_range(ascii, low, high); }
  void add(const CharSet& other) {
    for (std::size_t i = 0; i < ascii.size(); ++i) ascii[i] |= other.ascii[i];
    others = others || other.others;
  }
  void negate() {
    ascii[0] = ~ascii[0];
    ascii[1] = ~ascii[1];
    others = !others;
  }
};

std::optional<CharSet> perl_class(char c) {
  CharSet out;
  switch (std::tolower(static_cast<unsigned char>(c))) {
    case 'd': out.add('0', '9'); break;
    case 's':
      for (const char blank : {'\t', '\n', '\f', '\r', ' '})
        out.add(static_cast<unsigned char>(blank), static_cast<unsigned char>(blank));
      break;
    case 'w':
      out.add('0', '9');
      out.add('A', 'Z');
      out.add('_', '_');
      out.add('a', 'z');
      break;
    default: return std::nullopt;
  }
  if (c < 'a') out.negate();
  return out;
}

std::optional<CharSet> named_class(std::string_view name) {
  CharSet out;
  const bool word = name == "word", alnum = name == "alnum" || word;
  if (name == "digit" || name == "xdigit" || alnum) out.add('0', '9');
  if (name == "upper" || name == "alpha" || alnum) out.add('A', 'Z');
  if (name == "lower" || name == "alpha" || alnum) out.add('a', 'z');
  if (word) out.add('_', '_');
  if (name == "xdigit") {
    out.add('A', 'F');
    out.add('a', 'f');
  }
  if (out.ascii == ByteBits{}) return std::nullopt;
  return out;
}

// Part of a program: where it begins, and the exits that are still to be set.
struct Piece {
  std::uint32_t start = kNowhere;
  std::vector<std::pair<std::uint32_t, bool>> exits;  // a step, and whether it is its or_
};

// Compiles while it parses; what is repeated is parsed again.
class Compiler {
 public:
  explicit Compiler(std::string_view pattern) : pattern_(pattern) {}

  std::optional<ByteProgram> run() {
    out_.anchored = take('^');
    // A branch of its own would be anchored alone.
    if (out_.anchored && pattern_.find('|') != std::string_view::npos) return std::nullopt;
    const Piece piece = alternation(0);
    if (failed_ || at_ != pattern_.size()) return std::nullopt;
    const std::uint32_t match = add({.kind = ByteProgram::Step::Kind::kMatch});
    out_.start = piece.start == kNowhere ? match : piece.start;
    patch(piece, match);
    if (failed_ || matches_empty()) return std::nullopt;
    return std::move(out_);
  }

 private:
  using Step = ByteProgram::Step;

  // ---- steps ----

  std::uint32_t add(const Step& step) {
    if (out_.steps.size() >= kStepsMax) failed_ = true;
    if (!failed_) out_.steps.push_back(step);
    return static_cast<std::uint32_t>(out_.steps.size()) - (out_.steps.empty() ? 0 : 1);
  }
  void patch(const Piece& piece, std::uint32_t to) {
    if (failed_) return;
    for (const auto& [step, second] : piece.exits)
      (second ? out_.steps[step].or_ : out_.steps[step].next) = to;
  }
  Piece byte(const ByteBits& bits) {
    const std::uint32_t step = add({.kind = Step::Kind::kByte, .bytes = bits});
    return {step, {{step, false}}};
  }
  Piece byte(unsigned low, unsigned high) {
    ByteBits bits{};
    add_range(bits, low, high);
    return byte(bits);
  }
  // An empty piece has no start.
  Piece join(Piece first, Piece second) {
    if (first.start == kNowhere) return second;
    if (second.start == kNowhere) return first;
    patch(first, second.start);
    return {first.start, std::move(second.exits)};
  }
  Piece either(Piece first, Piece second) {
    const std::uint32_t fork = add({.kind = Step::Kind::kFork});
    Piece out{fork, {}};
    branch(out, std::move(first), false);
    branch(out, std::move(second), true);
    return out;
  }
  void branch(Piece& fork, Piece piece, bool second) {
    if (failed_) return;
    if (piece.start == kNowhere) return fork.exits.emplace_back(fork.start, second), void();
    (second ? out_.steps[fork.start].or_ : out_.steps[fork.start].next) = piece.start;
    fork.exits.insert(fork.exits.end(), piece.exits.begin(), piece.exits.end());
  }
  Piece many(Piece piece) {  // one or more
    if (piece.start == kNowhere) return piece;
    const std::uint32_t fork = add({.kind = Step::Kind::kFork, .next = piece.start});
    patch(piece, fork);
    return {piece.start, {{fork, true}}};
  }
  Piece chars(const CharSet& set) {
    Piece out = byte(set.ascii);
    if (!set.others) return out;
    out = either(std::move(out), join(byte(0xC2, 0xDF), byte(0x80, 0xBF)));
    out = either(std::move(out), join(byte(0xE0, 0xEF), join(byte(0x80, 0xBF), byte(0x80, 0xBF))));
    return either(
        std::move(out),
        join(byte(0xF0, 0xF4), join(byte(0x80, 0xBF), join(byte(0x80, 0xBF), byte(0x80, 0xBF)))));
  }

  bool matches_empty() const {
    std::vector<bool> seen(out_.steps.size());
    std::vector<std::uint32_t> todo{out_.start};
    while (!todo.empty()) {
      const std::uint32_t at = todo.back();
      todo.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      const Step& step = out_.steps[at];
      if (step.kind == Step::Kind::kMatch) return true;
      if (step.kind != Step::Kind::kFork) continue;
      todo.push_back(step.next);
      todo.push_back(step.or_);
    }
    return false;
  }

  // ---- grammar ----

  Piece alternation(int depth) {
    if (depth > kDepthMax) return fail();
    const auto flags = std::pair(fold_, dot_all_);
    Piece out = concatenation(depth);
    while (!failed_ && take('|')) out = either(std::move(out), concatenation(depth));
    std::tie(fold_, dot_all_) = flags;
    return out;
  }

  Piece concatenation(int depth) {
    Piece out;
    while (!failed_ && at_ < pattern_.size() && pattern_[at_] != '|' && pattern_[at_] != ')') {
      const Source source{at_, fold_, dot_all_};
      Piece piece = atom(depth);
      if (failed_) return {};
      out = join(std::move(out), repetition(std::move(piece), source, depth));
    }
    return out;
  }

  // Where an atom is written, to be parsed again.
  struct Source {
    std::size_t at;
    bool fold, dot_all;
  };

  Piece repetition(Piece piece, const Source& source, int depth) {
    const std::size_t end = at_;
    int least = 1, most = 1;  // most < 0: any number
    if (take('*')) {
      least = 0, most = -1;
    } else if (take('+')) {
      most = -1;
    } else if (take('?')) {
      least = 0;
    } else if (!counts(least, most)) {
      return piece;
    }
    take('?');
    const std::size_t behind = at_;
    // As many as there must be, then as many as there may be.
    Piece out;
    bool fresh = true;
    const auto once_more = [&] {
      if (std::exchange(fresh, false)) return std::move(piece);
      at_ = source.at;
      fold_ = source.fold;
      dot_all_ = source.dot_all;
      Piece again = atom(depth);
      if (at_ != end) failed_ = true;
      return again;
    };
    for (int i = 0; i + (most < 0 ? 1 : 0) < least && !failed_; ++i)
      out = join(std::move(out), once_more());
    if (most < 0) {
      Piece rest = many(once_more());
      out = join(std::move(out), least == 0 ? either(std::move(rest), {}) : std::move(rest));
    }
    for (int i = least; i < most && !failed_; ++i)
      out = join(std::move(out), either(once_more(), {}));
    at_ = behind;
    return out;
  }

  // {2}, {2,} and {2,5}; anything else is text.
  bool counts(int& least, int& most) {
    if (at_ >= pattern_.size() || pattern_[at_] != '{') return false;
    std::size_t at = at_ + 1;
    const auto number = [&](int& out) {
      const std::size_t begin = at;
      out = 0;
      for (; at < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[at])); ++at)
        out = std::min(out * 10 + (pattern_[at] - '0'), 1000);
      return at > begin;
    };
    int low = 0, high = 0;
    if (!number(low)) return false;
    high = low;
    if (at < pattern_.size() && pattern_[at] == ',') {
      ++at;
      if (!number(high)) high = -1;
    }
    if (at >= pattern_.size() || pattern_[at] != '}') return false;
    at_ = at + 1;
    least = low;
    most = high;
    return true;
  }

  Piece atom(int depth) {
    const char c = pattern_[at_++];
    switch (c) {
      case '(': return group(depth);
      case '[': return bracket();
      case '.': {
        CharSet all;
        all.others = true;
        all.add(0, 0x7F);
        if (!dot_all_) all.ascii[0] &= ~(std::uint64_t{1} << '\n');
        return chars(all);
      }
      case '\\': return escape();
      case '^':
      case '$':
      case '*':
      case '+':
      case '?': return fail();
      default: return literal(c);
    }
  }

  Piece literal(char c) {
    const auto first = static_cast<unsigned char>(c);
    if (first < 0x80) return letter(first);
    if (fold_) return fail();
    Piece out = byte(first, first);
    while (at_ < pattern_.size() && (static_cast<unsigned char>(pattern_[at_]) & 0xC0) == 0x80) {
      const auto next = static_cast<unsigned char>(pattern_[at_++]);
      out = join(std::move(out), byte(next, next));
    }
    return out;
  }

  // With both cases if asked; k and s have a third.
  Piece letter(unsigned c) {
    ByteBits bits{};
    add_range(bits, c, c);
    if (!fold_ || std::isalpha(static_cast<int>(c)) == 0) return byte(bits);
    const auto lower = static_cast<unsigned>(std::tolower(static_cast<int>(c)));
    add_range(bits, lower, lower);
    add_range(bits, lower - 0x20, lower - 0x20);
    Piece out = byte(bits);
    if (lower == 'k')  // the Kelvin sign
      return either(std::move(out),
                    join(byte(0xE2, 0xE2), join(byte(0x84, 0x84), byte(0xAA, 0xAA))));
    if (lower == 's')  // the long s
      return either(std::move(out), join(byte(0xC5, 0xC5), byte(0xBF, 0xBF)));
    return out;
  }

  Piece group(int depth) {
    const auto flags = std::pair(fold_, dot_all_);
    if (take('?')) {
      if (take('P') || (at_ < pattern_.size() && pattern_[at_] == '<')) {
        const std::size_t close = pattern_.find('>', at_);
        if (close == std::string_view::npos) return fail();
        at_ = close + 1;
      } else {
        bool on = true;
        while (at_ < pattern_.size() && pattern_[at_] != ':' && pattern_[at_] != ')') {
          switch (pattern_[at_++]) {
            case 'i': fold_ = on; break;
            case 's': dot_all_ = on; break;
            case 'U': break;
            case '-': on = false; break;
            default: return fail();
          }
        }
        if (take(')')) return {};  // up to the end of the group around it
        if (!take(':')) return fail();
      }
    }
    Piece out = alternation(depth + 1);
    if (!failed_ && !take(')')) return fail();
    std::tie(fold_, dot_all_) = flags;
    return out;
  }

  // The character of an escape in or outside a class. Nothing: it is no single one of ASCII.
  std::optional<unsigned> escaped_character() {
    if (at_ >= pattern_.size()) return std::nullopt;
    const char c = pattern_[at_++];
    if (std::ispunct(static_cast<unsigned char>(c)) != 0) return static_cast<unsigned char>(c);
    switch (c) {
      case 'n': return '\n';
      case 't': return '\t';
      case 'r': return '\r';
      case 'f': return '\f';
      case 'v': return '\v';
      case 'a': return '\a';
      default: return std::nullopt;
    }
  }

  // Letters' cases beyond ASCII are not known to sets.
  bool is_plain(const CharSet& set) const {
    if (!fold_) return true;
    return std::none_of(std::begin("kKsS"), std::end("kKsS") - 1,
                        [&](char c) { return has_byte(set.ascii, static_cast<unsigned>(c)); });
  }

  Piece escape() {
    if (at_ < pattern_.size())
      if (const auto set = perl_class(pattern_[at_])) {
        ++at_;
        const bool letters = std::tolower(static_cast<unsigned char>(pattern_[at_ - 1])) == 'w';
        return fold_ && letters ? fail() : chars(*set);
      }
    const auto c = escaped_character();
    return c ? letter(*c) : fail();
  }

  Piece bracket() {
    const bool negated = take('^');
    CharSet set;
    for (bool first = true; first || (at_ < pattern_.size() && pattern_[at_] != ']'); first = false)
      if (at_ >= pattern_.size() || !bracket_item(set)) return fail();
    if (!take(']') || !is_plain(set)) return fail();
    if (fold_)
      for (unsigned c = 'a'; c <= 'z'; ++c)
        if (has_byte(set.ascii, c) || has_byte(set.ascii, c - 0x20)) {
          set.add(c, c);
          set.add(c - 0x20, c - 0x20);
        }
    if (negated) set.negate();
    return chars(set);
  }

  bool bracket_item(CharSet& set) {
    if (pattern_.substr(at_).starts_with("[:")) {
      const std::size_t close = pattern_.find(":]", at_ + 2);
      if (close == std::string_view::npos) return false;
      const auto named = named_class(pattern_.substr(at_ + 2, close - at_ - 2));
      if (!named) return false;
      set.add(*named);
      at_ = close + 2;
      return true;
    }
    if (pattern_[at_] == '\\' && at_ + 1 < pattern_.size())
      if (const auto perl = perl_class(pattern_[at_ + 1])) {
        // In a class a negated one would bring letters of all alphabets, and their cases.
        if (perl->others && fold_) return false;
        set.add(*perl);
        at_ += 2;
        return true;
      }
    const auto low = bracket_character();
    if (!low) return false;
    unsigned high = *low;
    if (at_ + 1 < pattern_.size() && pattern_[at_] == '-' && pattern_[at_ + 1] != ']') {
      ++at_;
      const auto end = bracket_character();
      if (!end || *end < *low) return false;
      high = *end;
    }
    set.add(*low, high);
    return true;
  }

  std::optional<unsigned> bracket_character() {
    const auto c = static_cast<unsigned char>(pattern_[at_++]);
    if (c == '\\') return escaped_character();
    if (c >= 0x80) return std::nullopt;
    return c;
  }

  bool take(char c) {
    if (at_ >= pattern_.size() || pattern_[at_] != c) return false;
    ++at_;
    return true;
  }
  Piece fail() {
    failed_ = true;
    return {};
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  bool fold_ = false, dot_all_ = false;
  bool failed_ = false;
  ByteProgram out_;
};

}  // namespace

std::optional<ByteProgram> byte_program(std::string_view pattern) {
  return Compiler(pattern).run();
}

ByteProgram byte_program(const std::vector<std::string>& literals) {
  using Step = ByteProgram::Step;
  ByteProgram out;
  const auto next = [&] { return static_cast<std::uint32_t>(out.steps.size()) + 1; };
  ByteBits all{};
  add_range(all, 0, 0xFF);
  for (std::size_t i = 0; i < literals.size(); ++i) {
    if (i > 0) {
      // Any bytes: a fork to a step that comes back to it.
      const std::uint32_t fork = next() - 1;
      out.steps.push_back({.kind = Step::Kind::kFork, .next = fork + 1, .or_ = fork + 2});
      out.steps.push_back({.kind = Step::Kind::kByte, .bytes = all, .next = fork});
    }
    for (const char c : literals[i]) {
      Step step{.kind = Step::Kind::kByte, .next = next()};
      add_range(step.bytes, static_cast<unsigned char>(c), static_cast<unsigned char>(c));
      out.steps.push_back(step);
    }
  }
  out.steps.push_back({.kind = Step::Kind::kMatch});
  return out;
}

}  // namespace skald::query::plan
