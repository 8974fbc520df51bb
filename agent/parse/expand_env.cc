// -config.expand-env, as Promtail's library (drone/envsubst) does it: over the whole text, before
// YAML is read.

#include <fnmatch.h>

#include <algorithm>
#include <cctype>

#include "agent/parse/config.h"

namespace skald::agent {

namespace {

class Expander {
 public:
  Expander(std::string_view text, const char* (*getenv)(const char*),
           std::vector<std::string>& warnings)
      : text_(text), getenv_(getenv), warnings_(warnings) {}

  base::Result<std::string> run() {
    std::string out;
    SKALD_TRY(expand(out, false, 0));
    return out;
  }

 private:
  static constexpr int kNestingMax = 20;

  base::Status fail(std::size_t at, std::string_view what) const {
    const auto line =
        std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    return base::invalid_argument("line " + std::to_string(line + 1) + ": " + std::string(what));
  }

  // Up to the end, or to the `}` of the substitution this text is the argument of.
  base::Status expand(std::string& out, bool in_braces, int nesting) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (in_braces && c == '}') return {};
      if ((c == '$' && next == '$') || (c == '\\' && next == '\\')) {
        out += c;
        at_ += 2;
      } else if (c == '$' && next == '{') {
        SKALD_TRY(substitute(out, nesting));
      } else {
        out += c;
        ++at_;
      }
    }
    return in_braces ? fail(text_.size() - 1, "`${` without `}`") : base::Status();
  }

  base::Status substitute(std::string& out, int nesting) {
    const std::size_t start = at_;
    if (nesting >= kNestingMax) return fail(start, "substitutions nested too deeply");
    at_ += 2;
    bool length = false;
    if (at_ < text_.size() && text_[at_] == '#') {
      length = true;
      ++at_;
    }
    const std::size_t name_start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    const std::string name(text_.substr(name_start, at_ - name_start));
    if (name.empty() || at_ == text_.size()) return fail(start, "`${` is not followed by NAME}");
    std::string op;
    while (at_ < text_.size() &&
           std::string_view(":-=+?#%/^,").find(text_[at_]) != std::string_view::npos &&
           op.size() < 2) {
      op += text_[at_++];
    }
    std::string argument;
    SKALD_TRY(expand(argument, true, nesting + 1));
    ++at_;  // }
    const char* const found = getenv_(name.c_str());
    if (found == nullptr && std::isdigit(static_cast<unsigned char>(name[0])) != 0) {
      const auto line =
          std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(start), '\n');
      warnings_.push_back("line " + std::to_string(line + 1) + ": -config.expand-env made ${" +
                          name + "} empty; a regex group is written $" + name + " or $${" + name +
                          "}");
    }
    const std::string value = found == nullptr ? "" : found;
    if (length) {
      out += std::to_string(value.size());
      return {};
    }
    return apply(start, name, value, op, argument, out);
  }

  base::Status apply(std::size_t start, const std::string& name, const std::string& value,
                     const std::string& op, const std::string& argument, std::string& out) {
    if (op.empty()) {
      if (!argument.empty()) return fail(start, "`${" + name + argument + "}` is not understood");
      out += value;
    } else if (op == ":-" || op == "-" || op == ":=" || op == "=") {
      out += value.empty() ? argument : value;
    } else if (op == ":+" || op == "+") {
      out += value.empty() ? "" : argument;
    } else if (op == ":?" || op == "?") {
      if (value.empty()) return fail(start, name + ": " + argument);
      out += value;
    } else if (op == "#" || op == "##" || op == "%" || op == "%%") {
      out += trim(value, argument, op[0] == '#', op.size() == 2);
    } else if (op == "/" || op == "//") {
      out += replace(value, argument, op.size() == 2);
    } else if (op == "^" || op == "^^" || op == "," || op == ",,") {
      out += change_case(value, op[0] == '^', op.size() == 2);
    } else if (op == ":") {
      return substring(start, value, argument, out);
    } else {
      return fail(start, "operator `" + op + "` is not understood");
    }
    return {};
  }

  // The shortest or longest prefix or suffix that matches the pattern goes.
  static std::string trim(const std::string& value, const std::string& pattern, bool prefix,
                          bool longest) {
    const std::size_t size = value.size();
    for (std::size_t i = 0; i <= size; ++i) {
      const std::size_t cut = longest ? size - i : i;
      const std::string part = prefix ? value.substr(0, cut) : value.substr(size - cut);
      if (!part.empty() && ::fnmatch(pattern.c_str(), part.c_str(), 0) == 0) {
        return prefix ? value.substr(cut) : value.substr(0, size - cut);
      }
    }
    return value;
  }
  static std::string replace(std::string value, const std::string& argument, bool all) {
    const std::size_t slash = argument.find('/');
    const std::string from = argument.substr(0, slash);
    const std::string to = slash == std::string::npos ? "" : argument.substr(slash + 1);
    if (from.empty()) return value;
    for (std::size_t at = value.find(from); at != std::string::npos;
         at = value.find(from, at + to.size())) {
      value.replace(at, from.size(), to);
      if (!all) break;
    }
    return value;
  }
  static std::string change_case(std::string value, bool upper, bool all) {
    for (char& c : value) {
      const auto byte = static_cast<unsigned char>(c);
      c = static_cast<char>(upper ? std::toupper(byte) : std::tolower(byte));
      if (!all) break;
    }
    return value;
  }
  base::Status substring(std::size_t start, const std::string& value, const std::string& argument,
                         std::string& out) const {
    const std::size_t colon = argument.find(':');
    const auto number = [](const std::string& text, std::size_t& result) {
      result = 0;
      for (char c : text) {
        if (c < '0' || c > '9' || result > 100'000'000) return false;
        result = result * 10 + static_cast<std::size_t>(c - '0');
      }
      return !text.empty();
    };
    std::size_t offset = 0;
    std::size_t count = std::string::npos;
    if (!number(argument.substr(0, colon), offset) ||
        (colon != std::string::npos && !number(argument.substr(colon + 1), count))) {
      return fail(start, "`:" + argument + "` is not OFFSET or OFFSET:LENGTH");
    }
    if (offset < value.size()) out += value.substr(offset, count);
    return {};
  }

  std::string_view text_;
  const char* (*getenv_)(const char*);
  std::vector<std::string>& warnings_;
  std::size_t at_ = 0;
};

}  // namespace

base::Result<std::string> expand_env(std::string_view text, const char* (*getenv)(const char* name),
                                     std::vector<std::string>& warnings) {
  return Expander(text, getenv, warnings).run();
}

}  // namespace skald::agent
