#include "query/logql/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <set>
#include <utility>

#include "proto/base/utf8.h"
#include "proto/gotext/strings.h"
#include "query/logql/limits.h"

namespace skald::query::logql {
namespace {

// RE2 lacks Go's newer spelling of named groups. `named` false: groups lose their names, since in
// Go a name may be given twice.
std::string to_re2(std::string_view regex, bool named = true) {
  std::string out;
  out.reserve(regex.size());
  bool in_class = false;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    out.push_back(c);
    if (c == '\\' && i + 1 < regex.size()) {
      out.push_back(regex[++i]);
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      if (i + 1 < regex.size() && regex[i + 1] == '^') out.push_back(regex[++i]);
      if (i + 1 < regex.size() && regex[i + 1] == ']') out.push_back(regex[++i]);
    } else if (c == '(' && !named && regex.substr(i + 1).starts_with("?P<")) {
      i = std::min(regex.find('>', i), regex.size());
    } else if (c == '(' && regex.substr(i + 1).starts_with("?<")) {
      if (!named)
        i = std::min(regex.find('>', i), regex.size());
      else
        out += "?P", ++i;  // the '?'
    }
  }
  return out;
}

std::string go_reason(const re2::RE2& regex) {
  std::string out = "error parsing regexp: ";
  switch (regex.error_code()) {
    case re2::RE2::ErrorMissingParen: out += "missing closing )"; break;
    case re2::RE2::ErrorUnexpectedParen: out += "unexpected )"; break;
    case re2::RE2::ErrorMissingBracket: out += "missing closing ]"; break;
    case re2::RE2::ErrorBadEscape: out += "invalid escape sequence"; break;
    case re2::RE2::ErrorBadCharRange: out += "invalid character class range"; break;
    case re2::RE2::ErrorBadNamedCapture: out += "invalid named capture"; break;
    case re2::RE2::ErrorRepeatArgument: out += "missing argument to repetition operator"; break;
    case re2::RE2::ErrorRepeatSize: out += "invalid repeat count"; break;
    case re2::RE2::ErrorRepeatOp: out += "invalid nested repetition operator"; break;
    case re2::RE2::ErrorBadPerlOp: out += "invalid or unsupported Perl syntax"; break;
    case re2::RE2::ErrorPatternTooLarge: return "regular expression needs too much memory";
    case re2::RE2::ErrorTrailingBackslash: out += "trailing backslash at end of expression"; break;
    default: return out + regex.error();
  }
  return out + ": `" + regex.error_arg() + "`";
}

bool has_repeated_group(const re2::RE2& compiled) {
  return compiled.CapturingGroupNames().size() != compiled.NamedCapturingGroups().size();
}

// Go takes ASCII letters, digits and '_' in a group's name; RE2 takes more.
base::Status check_group_names(const re2::RE2& compiled, std::string_view regex) {
  for (const auto& [group, name] : compiled.CapturingGroupNames()) {
    if (std::all_of(name.begin(), name.end(), [](char c) {
          return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                 (c >= 'A' && c <= 'Z');
        }))
      continue;
    const std::string written = "(?P<" + name + ">";
    const bool older = regex.find(written) != std::string_view::npos;
    return base::invalid_argument("error parsing regexp: invalid named capture: `" +
                                  (older ? written : "(?<" + name + ">") + "`");
  }
  return {};
}

// The few nodes that can be replaced by text searches; anything else makes the parser give up.
struct Node {
  enum class Op : std::uint8_t {
    kEmpty,
    kLiteral,
    kAnyStar,
    kAnyPlus,
    kConcat,
    kAlternate,
    kCapture,
    kAny
  };
  Op op = Op::kEmpty;
  std::u32string text;  // kLiteral
  bool fold_case = false;
  std::vector<Node> sub;
};

// Go's regexp/syntax in miniature, with its merging of literals and its factoring of common
// prefixes out of alternatives (`foo1|foo2` is `foo` and a class), which decide what Loki replaces.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  std::optional<Node> run() {
    Node out;
    if (!alternation(out, 0) || at_ != text_.size()) return std::nullopt;
    return out;
  }

 private:
  static constexpr int kDepthMax = 100;

  bool alternation(Node& out, int depth) {
    if (depth > kDepthMax) return false;
    const bool fold = fold_, dot_all = dot_all_;
    std::vector<Node> branches(1);
    if (!concatenation(branches.back(), depth)) return false;
    while (at_ < text_.size() && text_[at_] == '|') {
      ++at_;
      if (!concatenation(branches.emplace_back(), depth)) return false;
    }
    if (depth > 0) fold_ = fold, dot_all_ = dot_all;
    return alternate(std::move(branches), out);
  }

  static bool is_single(const Node& node) {
    return node.op == Node::Op::kAny || (node.op == Node::Op::kLiteral && node.text.size() == 1);
  }

  static const Node* leading_literal(const Node& node) {
    const Node* first = &node;
    if (first->op == Node::Op::kConcat && !first->sub.empty()) first = &first->sub[0];
    return first->op == Node::Op::kLiteral ? first : nullptr;
  }

  static void remove_leading(Node& node, std::size_t count) {
    if (node.op == Node::Op::kConcat) {
      remove_leading(node.sub[0], count);
      if (node.sub[0].op != Node::Op::kEmpty) return;
      node.sub.erase(node.sub.begin());
      if (node.sub.size() == 1) {
        Node only = std::move(node.sub[0]);
        node = std::move(only);
      } else if (node.sub.empty()) {
        node.op = Node::Op::kEmpty;
      }
      return;
    }
    node.text.erase(0, count);
    if (node.text.empty()) node = Node{};
  }

  // False: the result holds a character class, which nothing simplifies.
  static bool alternate(std::vector<Node> branches, Node& out) {
    std::vector<Node> flat;
    for (Node& branch : branches) {
      if (branch.op == Node::Op::kAlternate)
        std::move(branch.sub.begin(), branch.sub.end(), std::back_inserter(flat));
      else
        flat.push_back(std::move(branch));
    }
    if (flat.size() > 1 && !factor(flat)) return false;
    if (flat.size() == 1) {
      out = std::move(flat[0]);
    } else {
      out.op = Node::Op::kAlternate;
      out.sub = std::move(flat);
    }
    return true;
  }

  static bool factor(std::vector<Node>& branches) {
    std::vector<Node> out;
    std::u32string common;
    bool common_fold = false;
    std::size_t start = 0;
    for (std::size_t i = 0; i <= branches.size(); ++i) {
      std::u32string lead;
      bool lead_fold = false;
      if (i < branches.size()) {
        if (const Node* literal = leading_literal(branches[i])) {
          lead = literal->text;
          lead_fold = literal->fold_case;
        }
        if (lead_fold == common_fold) {
          std::size_t same = 0;
          while (same < common.size() && same < lead.size() && common[same] == lead[same]) ++same;
          if (same > 0) {
            common.resize(same);
            continue;
          }
        }
      }
      if (i == start + 1) {
        out.push_back(std::move(branches[start]));
      } else if (i > start) {
        Node concat, prefix, suffix;
        prefix.op = Node::Op::kLiteral;
        prefix.text = common;
        prefix.fold_case = common_fold;
        std::vector<Node> rest;
        for (std::size_t j = start; j < i; ++j) {
          remove_leading(branches[j], common.size());
          rest.push_back(std::move(branches[j]));
        }
        if (!alternate(std::move(rest), suffix)) return false;
        concat.op = Node::Op::kConcat;
        concat.sub.push_back(std::move(prefix));
        concat.sub.push_back(std::move(suffix));
        out.push_back(std::move(concat));
      }
      start = i;
      common = std::move(lead);
      common_fold = lead_fold;
    }
    for (std::size_t i = 0; i + 1 < out.size(); ++i)
      if (is_single(out[i]) && is_single(out[i + 1])) return false;  // becomes a class
    branches.clear();
    for (Node& node : out) {
      if (node.op == Node::Op::kEmpty && !branches.empty() &&
          branches.back().op == Node::Op::kEmpty)
        continue;
      branches.push_back(std::move(node));
    }
    return true;
  }

  bool concatenation(Node& out, int depth) {
    std::vector<Node> items;
    while (at_ < text_.size() && text_[at_] != '|' && text_[at_] != ')') {
      Node item;
      bool flags_only = false;
      if (!atom(item, depth, flags_only)) return false;
      if (flags_only) continue;
      if (!repetition(item)) return false;
      items.push_back(std::move(item));
    }
    std::vector<Node> merged;
    for (Node& item : items) {
      if (!merged.empty() && item.op == Node::Op::kLiteral &&
          merged.back().op == Node::Op::kLiteral && merged.back().fold_case == item.fold_case)
        merged.back().text += item.text;
      else
        merged.push_back(std::move(item));
    }
    std::vector<Node> flat;
    for (Node& item : merged) {
      if (item.op == Node::Op::kConcat)
        std::move(item.sub.begin(), item.sub.end(), std::back_inserter(flat));
      else
        flat.push_back(std::move(item));
    }
    if (flat.empty()) return true;
    if (flat.size() == 1) {
      out = std::move(flat[0]);
    } else {
      out.op = Node::Op::kConcat;
      out.sub = std::move(flat);
    }
    return true;
  }

  // Whether the brace ahead is one of {2}, {2,} or {2,3}; any other is text.
  bool at_counted_repeat() const {
    std::size_t i = at_ + 1;
    const auto digits = [&] {
      const std::size_t from = i;
      while (i < text_.size() && text_[i] >= '0' && text_[i] <= '9') ++i;
      return i > from;
    };
    if (!digits()) return false;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      digits();
    }
    return i < text_.size() && text_[i] == '}';
  }

  bool repetition(Node& item) {
    if (at_ >= text_.size()) return true;
    const char c = text_[at_];
    if (c == '{') return !at_counted_repeat();
    if (c != '*' && c != '+' && c != '?') return true;
    if (item.op != Node::Op::kAny || c == '?') return false;
    item.op = c == '*' ? Node::Op::kAnyStar : Node::Op::kAnyPlus;
    if (++at_ < text_.size() && text_[at_] == '?') ++at_;
    if (at_ < text_.size() && (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?'))
      return false;
    return true;
  }

  void literal(Node& out, char32_t rune) const {
    out.op = Node::Op::kLiteral;
    // Go keeps the smallest of a letter's cases; only equality between branches matters here.
    if (fold_ && rune >= 'a' && rune <= 'z') rune -= 'a' - 'A';
    out.text.assign(1, rune);
    out.fold_case = fold_;
  }

  bool atom(Node& out, int depth, bool& flags_only) {
    const char c = text_[at_];
    switch (c) {
      case '(': return group(out, depth, flags_only);
      case '.':
        if (dot_all_) return false;
        ++at_;
        out.op = Node::Op::kAny;
        return true;
      case '[': return one_character_class(out);
      case '\\': return escape(out);
      case '^':
      case '$':
      case '*':
      case '+':
      case '?': return false;
      case '{':
        if (at_counted_repeat()) return false;
        break;
      default: break;
    }
    const base::Rune rune = base::decode_rune(text_.substr(at_));
    if (!rune.valid) return false;
    if (fold_ && rune.value >= 0x80) return false;
    at_ += rune.width;
    literal(out, rune.value);
    return true;
  }

  // [x] is x, [xX] is (?i)x; other classes are not for us.
  bool one_character_class(Node& out) {
    const std::string_view rest = text_.substr(at_);
    const auto plain = [](char c) {
      return static_cast<unsigned char>(c) < 0x80 && c != '\\' && c != '^' && c != ']' && c != '[';
    };
    const auto letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
    if (rest.size() >= 3 && plain(rest[1]) && rest[2] == ']' && !(fold_ && letter(rest[1]))) {
      literal(out, static_cast<char32_t>(rest[1]));
      out.fold_case = false;
      at_ += 3;
      return true;
    }
    // Without k and s, which fold to letters beyond ASCII.
    if (rest.size() >= 4 && rest[3] == ']' && letter(rest[1]) && (rest[1] ^ 0x20) == rest[2] &&
        (rest[1] | 0x20) != 'k' && (rest[1] | 0x20) != 's') {
      out.op = Node::Op::kLiteral;
      out.text.assign(1, static_cast<char32_t>(rest[1] & ~0x20));
      out.fold_case = true;
      at_ += 4;
      return true;
    }
    return false;
  }

  bool escape(Node& out) {
    if (at_ + 1 >= text_.size()) return false;
    const char c = text_[at_ + 1];
    char32_t rune = static_cast<unsigned char>(c);
    switch (c) {
      case 'n': rune = '\n'; break;
      case 't': rune = '\t'; break;
      case 'r': rune = '\r'; break;
      case 'f': rune = '\f'; break;
      case 'v': rune = '\v'; break;
      case 'a': rune = '\a'; break;
      case 'x': return hex_escape(out);
      default:
        if (rune >= 0x80 || (rune >= '0' && rune <= '9') ||
            ((rune | 0x20) >= 'a' && (rune | 0x20) <= 'z'))
          return false;
    }
    at_ += 2;
    literal(out, rune);
    return true;
  }

  bool hex_escape(Node& out) {
    const std::string_view digits = text_.substr(std::min(at_ + 2, text_.size()), 2);
    char32_t rune = 0;
    if (digits.size() != 2) return false;
    for (const char c : digits) {
      const int low = c | 0x20;
      if (c >= '0' && c <= '9')
        rune = rune * 16 + static_cast<char32_t>(c - '0');
      else if (low >= 'a' && low <= 'f')
        rune = rune * 16 + static_cast<char32_t>(low - 'a' + 10);
      else
        return false;
    }
    if (fold_ && rune >= 0x80) return false;
    at_ += 4;
    literal(out, rune);
    return true;
  }

  bool group(Node& out, int depth, bool& flags_only) {
    ++at_;
    bool capture = true;
    const bool fold = fold_, dot_all = dot_all_;
    if (text_.substr(at_).starts_with("?P<") || text_.substr(at_).starts_with("?<")) {
      const std::size_t close = text_.find('>', at_);
      if (close == std::string_view::npos) return false;
      at_ = close + 1;
    } else if (at_ < text_.size() && text_[at_] == '?') {
      capture = false;
      bool on = true;
      for (++at_;; ++at_) {
        if (at_ >= text_.size()) return false;
        const char c = text_[at_];
        if (c == 'i')
          fold_ = on;
        else if (c == 's')
          dot_all_ = on;
        else if (c == '-' && on)
          on = false;
        else if (c == ')' || c == ':')
          break;
        else
          return false;
      }
      if (text_[at_++] == ')') return flags_only = true;
    }
    Node inside;
    if (!alternation(inside, depth + 1)) return false;
    if (at_ >= text_.size() || text_[at_] != ')') return false;
    ++at_;
    fold_ = fold;
    dot_all_ = dot_all;
    if (!capture) {
      out = std::move(inside);
      return true;
    }
    out.op = Node::Op::kCapture;
    out.sub.push_back(std::move(inside));
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool fold_ = false, dot_all_ = false;
};

using Tests = std::vector<TextTest>;

std::string utf8(const std::u32string& text) {
  std::string out;
  for (const char32_t rune : text) base::append_rune(out, rune);
  return out;
}

TextTest contains_test(std::string text, bool fold_case) {
  TextTest out;
  if (text.empty()) return out;
  out.kind = TextTest::Kind::kContains;
  out.text = fold_case ? gotext::to_lower(text) : std::move(text);
  out.fold_case = fold_case;
  return out;
}

bool is_true(const Tests& tests) {
  return tests.size() == 1 && tests[0].kind == TextTest::Kind::kTrue;
}
// `a or b`, where a side that is always true gives way to the other (as in Loki).
void chain(Tests& left, Tests right) {
  if (left.empty() || is_true(left)) {
    left = std::move(right);
  } else if (!is_true(right)) {
    std::move(right.begin(), right.end(), std::back_inserter(left));
  }
}

const Node& without_capture(const Node& node) {
  const Node* out = &node;
  while (out->op == Node::Op::kCapture) out = &out->sub[0];
  return *out;
}

bool simplify(const Node& captured, bool label, Tests& out);

bool simplify_concat(const Node& node, std::optional<std::string> base, Tests& out);

bool simplify_concat_alternate(const Node& node, const std::string& base, bool base_fold,
                               Tests& out) {
  for (const Node& raw : node.sub) {
    const Node& branch = without_capture(raw);
    if (!base_fold && branch.fold_case) return false;
    switch (branch.op) {
      case Node::Op::kEmpty:
      case Node::Op::kAnyStar: chain(out, {contains_test(base, base_fold)}); break;
      case Node::Op::kLiteral:
        chain(out, {contains_test(base + utf8(branch.text), base_fold)});
        break;
      case Node::Op::kConcat: {
        Tests tests;
        if (!simplify_concat(branch, base, tests)) return false;
        chain(out, std::move(tests));
        break;
      }
      default: return false;
    }
  }
  return !out.empty();
}

bool simplify_concat(const Node& node, std::optional<std::string> base, Tests& out) {
  std::vector<const Node*> subs;
  for (const Node& sub : node.sub)
    if (without_capture(sub).op != Node::Op::kEmpty) subs.push_back(&without_capture(sub));
  if (subs.size() > 3) return false;
  int literals = 0;
  bool base_fold = false;
  Tests current;
  for (const Node* sub : subs) {
    if (sub->op == Node::Op::kLiteral) {
      if (literals++ != 0) return false;
      base = base.value_or("") + utf8(sub->text);
      base_fold = sub->fold_case;
    } else if (sub->op == Node::Op::kAlternate && base) {
      if (!simplify_concat_alternate(*sub, *base, base_fold, current)) return false;
    } else if (sub->op != Node::Op::kAnyStar) {
      return false;
    }
  }
  if (!current.empty()) {
    out = std::move(current);
    return true;
  }
  if (!base) return false;
  out = {contains_test(*base, base_fold)};
  return true;
}

bool simplify(const Node& captured, bool label, Tests& out) {
  const Node& node = without_capture(captured);
  switch (node.op) {
    case Node::Op::kAlternate:
      for (const Node& sub : node.sub) {
        Tests tests;
        if (!simplify(sub, label, tests)) return false;
        chain(out, std::move(tests));
      }
      return true;
    case Node::Op::kConcat: return simplify_concat(node, std::nullopt, out);
    case Node::Op::kLiteral: {
      TextTest test = contains_test(utf8(node.text), node.fold_case);
      if (label) test.kind = TextTest::Kind::kEqual;
      out.push_back(std::move(test));
      return true;
    }
    case Node::Op::kAnyStar:
    case Node::Op::kEmpty: out.push_back({}); return true;
    case Node::Op::kAnyPlus: out.push_back({TextTest::Kind::kExists, "", false}); return true;
    default: return false;
  }
}

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Whether `subject` begins with `needle`, folded. Sets `length` to the bytes of subject used.
bool starts_folded(std::string_view subject, std::string_view needle) {
  std::size_t at = 0, n = 0;
  while (at < subject.size() && n < needle.size()) {
    const char c = lower_ascii(subject[at]);
    if (static_cast<unsigned char>(c) < 0x80 && static_cast<unsigned char>(needle[n]) < 0x80) {
      if (c != needle[n]) return false;
      ++at, ++n;
      continue;
    }
    const base::Rune left = base::decode_rune(subject.substr(at));
    if (!left.valid) {
      if (c != needle[n]) return false;
      ++at, ++n;
      continue;
    }
    const base::Rune right = base::decode_rune(needle.substr(n));
    if (!right.valid) return false;
    if (gotext::to_lower(subject.substr(at, left.width)) != needle.substr(n, right.width))
      return false;
    at += left.width;
    n += right.width;
  }
  return n == needle.size();
}

}  // namespace

bool contains_folded(std::string_view subject, std::string_view needle) {
  if (needle.empty()) return true;
  // A long one is not tried at each place: that takes the product of both lengths.
  constexpr std::size_t kTriedMax = 256;
  if (needle.size() > kTriedMax && base::is_valid_utf8(subject))
    return gotext::find(gotext::to_lower(subject), needle) != std::string_view::npos;
  if (needle.size() > subject.size()) return false;
  const std::size_t last = subject.size() - needle.size();
  for (std::size_t i = 0; i <= last; ++i)
    if (lower_ascii(subject[i]) == needle[0] && starts_folded(subject.substr(i), needle))
      return true;
  return false;
}

bool TextTest::matches(std::string_view subject) const {
  switch (kind) {
    case Kind::kTrue: return true;
    case Kind::kExists: return !subject.empty();
    case Kind::kEqual:
      if (subject.size() != text.size()) return false;
      [[fallthrough]];
    case Kind::kContains:
      return fold_case ? contains_folded(subject, text)
                       : gotext::find(subject, text) != std::string_view::npos;
  }
  return false;
}

std::optional<Tests> simplify_regex(std::string_view regex, bool label) {
  const std::optional<Node> node = Parser(regex).run();
  Tests out;
  if (!node || !simplify(*node, label, out)) return std::nullopt;
  return out;
}

namespace {
thread_local RegexScope* current_scope = nullptr;
}  // namespace

RegexScope::RegexScope() : outer_(std::exchange(current_scope, this)) {}
RegexScope::~RegexScope() { current_scope = outer_; }

std::optional<std::string> repeated_group(std::string_view regex) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryMax);
  const re2::RE2 compiled(to_re2(regex), options);
  std::set<std::string> seen;
  for (const auto& [group, name] : compiled.CapturingGroupNames())
    if (!seen.insert(name).second) return name;
  return std::nullopt;
}

base::Result<std::shared_ptr<const re2::RE2>> compile_regex(std::string_view regex, bool label) {
  if (regex.size() > kRegexBytesMax)
    return base::invalid_argument("regular expression of " + std::to_string(regex.size()) +
                                  " bytes is over the limit of " + std::to_string(kRegexBytesMax));
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryMax);
  std::string text = to_re2(regex);
  if (label) text = "^(?:" + text + ")$";
  if (current_scope != nullptr)
    if (const auto known = current_scope->compiled_.find(text);
        known != current_scope->compiled_.end())
      return known->second;
  auto out = std::make_shared<const re2::RE2>(text, options);
  if (!out->ok()) return base::invalid_argument(go_reason(*out));
  SKALD_TRY(check_group_names(*out, regex));
  if (has_repeated_group(*out)) {
    const std::string nameless = to_re2(regex, false);
    out = std::make_shared<const re2::RE2>(label ? "^(?:" + nameless + ")$" : nameless, options);
  }
  if (current_scope != nullptr) current_scope->compiled_.emplace(std::move(text), out);
  return std::shared_ptr<const re2::RE2>(std::move(out));
}

namespace {

bool match(const re2::RE2& regex, std::string_view text, std::span<std::string_view> groups) {
  std::vector<re2::StringPiece> pieces(groups.size());
  if (!regex.Match(text, 0, text.size(), re2::RE2::UNANCHORED, pieces.data(),
                   static_cast<int>(pieces.size())))
    return false;
  for (std::size_t i = 0; i < groups.size(); ++i)
    groups[i] = pieces[i].data() == nullptr ? std::string_view()
                                            : std::string_view(pieces[i].data(), pieces[i].size());
  return true;
}

// Where the byte at `offset` of to_valid_utf8(text) comes from.
std::size_t offset_before_repair(std::string_view text, std::size_t offset) {
  std::size_t at = 0;
  for (std::size_t repaired = 0; repaired < offset;) {
    const base::Rune rune = base::decode_rune(text.substr(at));
    repaired += rune.valid ? rune.width : 3;  // U+FFFD has three bytes
    at += rune.width;
  }
  return at;
}

}  // namespace

bool finds(const re2::RE2& regex, std::string_view text, std::span<std::string_view> groups) {
  if (base::is_valid_utf8(text)) return match(regex, text, groups);
  const std::string repaired = base::to_valid_utf8(text);
  if (!match(regex, repaired, groups)) return false;
  for (std::string_view& group : groups) {
    if (group.data() == nullptr) continue;
    const auto begin = static_cast<std::size_t>(group.data() - repaired.data());
    const std::size_t from = offset_before_repair(text, begin);
    group = text.substr(from, offset_before_repair(text, begin + group.size()) - from);
  }
  return true;
}

base::Status check_regex(std::string_view regex) {
  auto compiled = compile_regex(regex);
  return compiled.ok() ? base::Status() : std::move(compiled).status();
}

}  // namespace skald::query::logql
