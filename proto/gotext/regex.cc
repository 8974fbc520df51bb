#include "proto/gotext/regex.h"

#include <re2/re2.h>

#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "proto/base/utf8.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

std::string_view go_reason(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadEscape: return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass: return "invalid character class";
    case re2::RE2::ErrorBadCharRange: return "invalid character class range";
    case re2::RE2::ErrorMissingBracket: return "missing closing ]";
    case re2::RE2::ErrorMissingParen: return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen: return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize: return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8: return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture: return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge: return "expression too large";
    default: return "invalid regular expression";
  }
}

// Least recently used of the process' expressions; also of those that do not compile, which may
// take as long to say.
class Cache {
 public:
  std::optional<base::Result<RegexPtr>> find(const std::string& pattern) {
    const std::lock_guard lock(mutex_);
    const auto at = by_pattern_.find(pattern);
    if (at == by_pattern_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, at->second);
    return at->second->second;
  }
  void insert(const std::string& pattern, base::Result<RegexPtr> regex) {
    const std::lock_guard lock(mutex_);
    if (by_pattern_.contains(pattern)) return;
    order_.emplace_front(pattern, std::move(regex));
    by_pattern_[pattern] = order_.begin();
    if (order_.size() <= kRegexCacheMax) return;
    by_pattern_.erase(order_.back().first);
    order_.pop_back();
  }

 private:
  using Order = std::list<std::pair<std::string, base::Result<RegexPtr>>>;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, Order::iterator> by_pattern_;
};

Cache& cache() {
  static Cache instance;
  return instance;
}

// The name after a '$': sets `name` and how much text it took; false if malformed.
bool reference(std::string_view text, std::string_view& name, std::size_t& size) {
  const bool brace = text.size() > 1 && text[1] == '{';
  std::size_t end = brace ? 2 : 1;
  const std::size_t start = end;
  while (end < text.size()) {
    const base::Rune rune = base::decode_rune(text.substr(end));
    if (!is_letter(rune.value) && !is_digit_rune(rune.value) && rune.value != '_') break;
    end += rune.width;
  }
  if (end == start) return false;
  name = text.substr(start, end - start);
  if (brace) {
    if (end >= text.size() || text[end] != '}') return false;
    ++end;
  }
  size = end;
  return true;
}

// Ends early once `out` is longer than kFunctionOutputMax.
void expand(std::string& out, std::string_view to, const re2::RE2& regex,
            const std::vector<re2::StringPiece>& groups) {
  while (out.size() <= kFunctionOutputMax) {
    const auto dollar = to.find('$');
    out += to.substr(0, dollar);
    if (dollar == std::string_view::npos) return;
    to.remove_prefix(dollar);
    if (to.size() > 1 && to[1] == '$') {
      out += '$';
      to.remove_prefix(2);
      continue;
    }
    std::string_view name;
    std::size_t size = 0;
    if (!reference(to, name, size)) {
      out += '$';
      to.remove_prefix(1);
      continue;
    }
    to.remove_prefix(size);
    std::size_t index = groups.size();
    if (name.find_first_not_of("0123456789") == std::string_view::npos && name.size() < 9 &&
        (name.size() == 1 || name[0] != '0')) {
      index = static_cast<std::size_t>(std::stoul(std::string(name)));
    } else {
      const auto& names = regex.NamedCapturingGroups();
      if (const auto at = names.find(std::string(name)); at != names.end())
        index = static_cast<std::size_t>(at->second);
    }
    if (index < groups.size() && groups[index].data() != nullptr)
      out.append(groups[index].data(), groups[index].size());
  }
}

std::uint64_t visits_per_byte(const re2::RE2& regex, int groups) {
  return static_cast<std::uint64_t>(regex.ProgramSize()) * static_cast<std::uint64_t>(groups);
}

// Before the first search of a text. `groups`: that the search tells, with the whole match.
base::Status start_search(const re2::RE2& regex, std::string_view text, int groups, Work& work) {
  const std::uint64_t visits = text.size() * visits_per_byte(regex, std::max(groups, 1));
  if (visits > kRegexVisitsMax)
    return base::resource_exhausted(
        "a regular expression of " + std::to_string(regex.ProgramSize()) +
        " instructions is too large for a text of " + std::to_string(text.size()) + " bytes");
  return work.spend(1 + visits / kRegexVisitsPerStep);
}

// Calls visit(groups) for each match that Go's All functions see.
template <typename F>
base::Status for_each_match(const re2::RE2& regex, std::string_view text, int group_count,
                            Work& work, F&& visit) {
  SKALD_TRY(start_search(regex, text, group_count, work));
  const std::uint64_t visits = visits_per_byte(regex, group_count);
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(group_count));
  const re2::StringPiece input(text.data(), text.size());
  std::size_t at = 0;
  std::size_t last_end = std::string_view::npos;
  while (at <= text.size() &&
         regex.Match(input, at, text.size(), re2::RE2::UNANCHORED, groups.data(), group_count)) {
    const auto start = static_cast<std::size_t>(groups[0].data() - text.data());
    const std::size_t end = start + groups[0].size();
    const bool accept = end != at || start != end || start != last_end;
    bool go_on = true;
    if (accept) go_on = visit(groups);
    last_end = end;
    if (!go_on) return {};
    if (end > at)
      at = end;
    else if (at < text.size())
      at += base::decode_rune(text.substr(at)).width;
    else
      return {};
    // The next search may have to look at all the rest before it knows where a match ends.
    const std::uint64_t rest = text.size() - std::min(at, text.size());
    SKALD_TRY(work.spend(1 + rest * (1 + visits / kRegexVisitsPerStep) / kRegexVisitsPerStep));
  }
  return {};
}

base::Result<RegexPtr> compile(const std::string& pattern) {
  if (pattern.size() > kRegexTextMax)
    return base::invalid_argument("regular expression of " + std::to_string(pattern.size()) +
                                  " bytes is over the limit of " + std::to_string(kRegexTextMax));
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryMax);
  auto regex = std::make_shared<const re2::RE2>(pattern, options);
  if (!regex->ok()) {
    const bool no_argument = regex->error_code() == re2::RE2::ErrorTrailingBackslash;
    return base::invalid_argument(
        "error parsing regexp: " + std::string(go_reason(regex->error_code())) + ": `" +
        (no_argument ? "" : regex->error_arg()) + "`");
  }
  return RegexPtr(std::move(regex));
}

}  // namespace

base::Result<RegexPtr> compile_regex(std::string_view pattern, Work& work) {
  const std::string key(pattern);
  if (auto known = cache().find(key)) return *std::move(known);
  SKALD_TRY(work.spend(kStepsPerCheck));  // how long it takes is not known beforehand
  base::Result<RegexPtr> regex = compile(key);
  cache().insert(key, regex);
  return regex;
}

base::Result<RegexPtr> must_compile_regex(std::string_view pattern, Work& work) {
  auto regex = compile_regex(pattern, work);
  if (regex.ok() || regex.status().code() != base::Code::kInvalidArgument) return regex;
  const std::string shown =
      can_backquote(pattern) ? "`" + std::string(pattern) + "`" : quote(pattern);
  return base::invalid_argument("regexp: Compile(" + shown +
                                "): " + std::string(regex.status().message()));
}

base::Result<std::string> regex_replace_all(const re2::RE2& regex, std::string_view text,
                                            std::string_view to, bool literal, Work& work) {
  std::string out;
  std::size_t copied = 0;
  bool too_long = false;
  if (text.data() == nullptr) text = "";
  const int groups = literal ? 1 : 1 + regex.NumberOfCapturingGroups();
  SKALD_TRY(
      for_each_match(regex, text, groups, work, [&](const std::vector<re2::StringPiece>& found) {
        const auto start = static_cast<std::size_t>(found[0].data() - text.data());
        out += text.substr(copied, start - copied);
        if (literal)
          out += to;
        else
          expand(out, to, regex, found);
        copied = start + found[0].size();
        too_long = out.size() > kFunctionOutputMax;
        return !too_long;
      }));
  if (too_long)
    return base::resource_exhausted("regexp replacement is longer than " +
                                    std::to_string(kFunctionOutputMax) + " bytes");
  out += text.substr(copied);
  return out;
}

base::Result<TextSpans> regex_find_all(const re2::RE2& regex, std::string_view text,
                                       std::int64_t count, Work& work) {
  TextSpans out;
  if (count == 0) return out;
  if (text.data() == nullptr) text = "";
  SKALD_TRY(for_each_match(regex, text, 1, work, [&](const std::vector<re2::StringPiece>& found) {
    const auto start = static_cast<std::size_t>(found[0].data() - text.data());
    out.emplace_back(start, start + found[0].size());
    return count < 0 || static_cast<std::int64_t>(out.size()) < count;
  }));
  return out;
}

base::Result<std::size_t> regex_count(const re2::RE2& regex, std::string_view text, Work& work) {
  std::size_t out = 0;
  if (text.data() == nullptr) text = "";
  SKALD_TRY(for_each_match(regex, text, 1, work, [&](const std::vector<re2::StringPiece>&) {
    ++out;
    return true;
  }));
  return out;
}

base::Result<bool> regex_contains(const re2::RE2& regex, std::string_view text, Work& work) {
  SKALD_TRY(start_search(regex, text, 0, work));
  return regex.Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                     re2::RE2::UNANCHORED, nullptr, 0);
}

std::string regex_quote(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace skald::gotext
