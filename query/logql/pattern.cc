#include "query/logql/pattern.h"

#include <algorithm>

#include "proto/base/utf8.h"
#include "proto/gotext/strings.h"

namespace skald::query::logql {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_char(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

// The length of `<name>` at the start of `text`, or 0.
std::size_t capture_length(std::string_view text) {
  if (text.size() < 3 || text[0] != '<' || !is_name_start(text[1])) return 0;
  std::size_t i = 2;
  while (i < text.size() && is_name_char(text[i])) ++i;
  return i < text.size() && text[i] == '>' ? i + 1 : 0;
}

}  // namespace

base::Result<Pattern> Pattern::parse(std::string_view text) {
  Pattern out;
  if (text.empty())
    return base::invalid_argument(
        "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or "
        "LITERAL");
  if (!base::is_valid_utf8(text))
    return base::invalid_argument("parse error at line 1, col 1: invalid UTF-8 in pattern");
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t length = capture_length(text.substr(i)); length > 0) {
      out.nodes_.push_back({true, std::string(text.substr(i + 1, length - 2))});
      i += length;
    } else {
      if (out.nodes_.empty() || out.nodes_.back().capture) out.nodes_.push_back({});
      out.nodes_.back().text.push_back(text[i++]);
    }
  }
  for (const Node& node : out.nodes_)
    if (node.capture && node.text != "_") out.names_.push_back(node.text);
  return out;
}

base::Status Pattern::check_captures_apart() const {
  for (std::size_t i = 0; i + 1 < nodes_.size(); ++i)
    if (nodes_[i].capture && nodes_[i + 1].capture)
      return base::invalid_argument("found consecutive capture '<" + nodes_[i].text + "><" +
                                    nodes_[i + 1].text + ">': invalid expression");
  return {};
}

base::Result<Pattern> Pattern::for_parser(std::string_view text) {
  SKALD_TRY_ASSIGN(Pattern out, parse(text));
  if (out.names_.empty()) return base::invalid_argument("at least one capture is required");
  SKALD_TRY(out.check_captures_apart());
  std::vector<std::string> sorted = out.names_;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    return base::invalid_argument("duplicate capture name (" + *twice + "): invalid expression");
  return out;
}

base::Result<Pattern> Pattern::for_line_filter(std::string_view text) {
  if (text.empty()) return Pattern();
  SKALD_TRY_ASSIGN(Pattern out, parse(text));
  SKALD_TRY(out.check_captures_apart());
  if (!out.names_.empty())
    return base::invalid_argument("named captures are not allowed: found '<" + out.names_[0] +
                                  ">'");
  return out;
}

bool Pattern::test(std::string_view line) const {
  if (line.empty() || nodes_.empty()) return line.empty() && nodes_.empty();
  std::size_t at = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].capture) continue;
    const std::size_t found = gotext::find(line, nodes_[i].text, at);
    if (found == std::string_view::npos) return false;
    if (i != 0 && found == at) return false;
    at = found + nodes_[i].text.size();
  }
  return nodes_.back().capture == (at != line.size());
}

void Pattern::captures(std::string_view line, std::vector<std::string_view>& out) const {
  out.clear();
  if (line.empty() || nodes_.empty()) return;
  std::size_t next = 0;
  if (!nodes_[0].capture) {
    if (!line.starts_with(nodes_[0].text)) return;
    line.remove_prefix(nodes_[0].text.size());
    next = 1;
  }
  while (next < nodes_.size()) {
    const bool named = nodes_[next].text != "_";
    if (next + 1 == nodes_.size()) {
      if (named) out.push_back(line);
      return;
    }
    const std::string& literal = nodes_[next + 1].text;
    const std::size_t found = gotext::find(line, literal);
    if (found == std::string_view::npos) {
      if (named) out.push_back(line);
      return;
    }
    if (named) out.push_back(line.substr(0, found));
    line.remove_prefix(found + literal.size());
    next += 2;
  }
}

}  // namespace skald::query::logql
