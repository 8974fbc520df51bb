#include "query/plan/regex_literals.h"

#include <algorithm>
#include <cctype>
#include <optional>

namespace skald::query::plan {
namespace {

constexpr std::size_t kAlternativesMax = 16;  // of one clause; more is not worth their searches
constexpr int kDepthMax = 32;                 // of groups; deeper ones are treated as unknown

using Strings = std::vector<std::string>;

// A piece of the expression: `exact` are all the strings it can match (empty: not known).
struct Piece {
  Strings exact;
  std::vector<Strings> clauses;  // what it must contain, besides
};

class Extractor {
 public:
  Extractor(std::string_view pattern, bool fold) : pattern_(pattern), fold_(fold) {}

  std::optional<Piece> run() {
    Piece piece = alternation(0);
    if (failed_ || at_ != pattern_.size()) return std::nullopt;
    return piece;
  }

 private:
  Piece alternation(int depth) {
    if (depth > kDepthMax) return fail();
    std::vector<Piece> branches{concatenation(depth)};
    while (!failed_ && take('|')) branches.push_back(concatenation(depth));
    if (failed_) return {};
    if (branches.size() == 1) return std::move(branches.front());
    // A disjunction is known only as a whole: each branch contributes one of its clauses.
    Piece piece;
    const bool all_exact = std::all_of(branches.begin(), branches.end(),
                                       [](const Piece& b) { return !b.exact.empty(); });
    Strings either;
    for (const Piece& branch : branches) {
      const Strings* best = all_exact ? &branch.exact : best_clause(branch);
      if (best == nullptr) return {};
      either.insert(either.end(), best->begin(), best->end());
    }
    if (either.size() > kAlternativesMax) return {};
    if (all_exact)
      piece.exact = std::move(either);
    else
      piece.clauses.push_back(std::move(either));
    return piece;
  }

  // The clause of a branch with the longest shortest needle; its exact strings count as one.
  static const Strings* best_clause(const Piece& piece) {
    const Strings* best = usable(piece.exact) ? &piece.exact : nullptr;
    for (const Strings& clause : piece.clauses)
      if (best == nullptr || shortest(clause) > shortest(*best)) best = &clause;
    return best;
  }
  static std::size_t shortest(const Strings& strings) {
    std::size_t size = std::string::npos;
    for (const std::string& s : strings) size = std::min(size, s.size());
    return size;
  }
  static bool usable(const Strings& strings) { return !strings.empty() && shortest(strings) > 0; }

  Piece concatenation(int depth) {
    Piece whole;
    Strings run{std::string()};  // exact strings of the pieces since the last cut
    bool exact = true;           // nothing was cut yet
    const auto cut = [&] {
      exact = false;
      if (usable(run)) whole.clauses.push_back(run);
      run.assign(1, std::string());
    };
    while (at_ < pattern_.size() && pattern_[at_] != '|' && pattern_[at_] != ')') {
      Piece piece = atom(depth);
      if (failed_) return {};
      const Repeat repeat = quantifier();
      if (failed_) return {};
      if (repeat == Repeat::kMaybe) {
        cut();
        continue;
      }
      for (Strings& clause : piece.clauses) whole.clauses.push_back(std::move(clause));
      if (piece.exact.empty() || run.size() * piece.exact.size() > kAlternativesMax) {
        cut();
        if (usable(piece.exact)) run = std::move(piece.exact);
        if (repeat == Repeat::kMany) cut();
        continue;
      }
      multiply(run, piece.exact);
      if (repeat == Repeat::kMany) cut();
    }
    if (exact)
      whole.exact = std::move(run);
    else if (usable(run))
      whole.clauses.push_back(std::move(run));
    return whole;
  }

  static void multiply(Strings& run, const Strings& next) {
    Strings product;
    product.reserve(run.size() * next.size());
    for (const std::string& head : run)
      for (const std::string& tail : next) product.push_back(head + tail);
    run = std::move(product);
  }

  Piece atom(int depth) {
    const char c = pattern_[at_++];
    switch (c) {
      case '(': return group(depth);
      case '[': return character_class();
      case '.':
      case '^':
      case '$': return {};
      case '\\': return escape();
      case '*':
      case '+':
      case '?': return fail();
      default: return literal(c);
    }
  }

  Piece literal(char c) {
    const auto byte = static_cast<unsigned char>(c);
    // Under (?i) 'k' and 's' also match U+212A and U+017F, and non-ASCII folds too.
    if (fold_ && (byte >= 0x80 || std::tolower(byte) == 'k' || std::tolower(byte) == 's'))
      return {};
    std::string text(1, fold_ ? static_cast<char>(std::tolower(byte)) : c);
    // The bytes of one rune stay together: a quantifier behind them is about all of it.
    while (byte >= 0x80 && at_ < pattern_.size() &&
           (static_cast<unsigned char>(pattern_[at_]) & 0xC0) == 0x80)
      text += pattern_[at_++];
    return {{std::move(text)}, {}};
  }

  Piece group(int depth) {
    if (take('?')) {
      // (?:...) and (?P<name>...) only; flags inside change the meaning of what follows.
      if (take('P') || (at_ < pattern_.size() && pattern_[at_] == '<')) {
        const auto close = pattern_.find('>', at_);
        if (close == std::string_view::npos) return fail();
        at_ = close + 1;
      } else if (!take(':')) {
        return fail();
      }
    }
    Piece piece = alternation(depth + 1);
    if (!failed_ && !take(')')) return fail();
    return piece;
  }

  Piece character_class() {
    // Skipped, not understood: `[]a]`, `[^]a]`, `[[:alpha:]]` and escapes.
    take('^');
    take(']');
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_.compare(at_, 2, "[:") == 0) {
        const auto close = pattern_.find(":]", at_ + 2);
        if (close == std::string_view::npos) return fail();
        at_ = close + 2;
      } else {
        at_ += pattern_[at_] == '\\' ? 2 : 1;
      }
    }
    if (at_ >= pattern_.size()) return fail();
    ++at_;
    return {};
  }

  Piece escape() {
    if (at_ >= pattern_.size()) return fail();
    const char c = pattern_[at_++];
    if (std::ispunct(static_cast<unsigned char>(c)) != 0) return literal(c);
    switch (c) {
      case 'n': return literal('\n');
      case 't': return literal('\t');
      case 'r': return literal('\r');
      case 'd':
      case 'D':
      case 's':
      case 'S':
      case 'w':
      case 'W':
      case 'b':
      case 'B':
      case 'A':
      case 'z': return {};
      default: return fail();  // \p{..}, \x.., \Q..\E, \C: not worth it
    }
  }

  enum class Repeat { kOnce, kMany, kMaybe };
  Repeat quantifier() {
    Repeat repeat = Repeat::kOnce;
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '*' || c == '?') {
        repeat = Repeat::kMaybe;
        ++at_;
      } else if (c == '+') {
        if (repeat == Repeat::kOnce) repeat = Repeat::kMany;
        ++at_;
      } else if (c == '{' && at_ + 1 < pattern_.size() &&
                 std::isdigit(static_cast<unsigned char>(pattern_[at_ + 1])) != 0) {
        const bool zero = pattern_[at_ + 1] == '0';
        const auto close = pattern_.find('}', at_);
        if (close == std::string_view::npos) return failed_ = true, repeat;
        if (zero || repeat == Repeat::kMaybe)
          repeat = Repeat::kMaybe;
        else
          repeat = Repeat::kMany;
        at_ = close + 1;
      } else {
        break;
      }
    }
    return repeat;
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
  bool fold_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace

RegexLiterals required_literals(std::string_view pattern) {
  RegexLiterals literals;
  if (pattern.starts_with("(?i)")) {
    literals.fold_case = true;
    pattern.remove_prefix(4);
  }
  std::optional<Piece> piece = Extractor(pattern, literals.fold_case).run();
  if (!piece) return {};
  literals.clauses = std::move(piece->clauses);
  if (!piece->exact.empty()) literals.clauses.push_back(std::move(piece->exact));
  std::erase_if(literals.clauses, [](const Strings& clause) {
    return std::any_of(clause.begin(), clause.end(), [](const std::string& needle) {
      // U+FFFD also stands for bytes that are no UTF-8, where a search would not find it.
      return needle.empty() || needle.find("\xEF\xBF\xBD") != std::string::npos;
    });
  });
  return literals;
}

}  // namespace skald::query::plan
