#include "query/exec/json_scan.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "proto/base/utf8.h"
#include "proto/gotext/number.h"
#include "query/exec/limits.h"

namespace skald::query::json {
namespace {

constexpr auto npos = std::string_view::npos;
constexpr char kMalformedString[] = "Value is string, but can't find closing '\"' symbol";
constexpr char kMalformedArray[] = "Value is array, but can't find closing ']' symbol";
constexpr char kMalformedObject[] = "Value looks like object, but can't find closing '}' symbol";
constexpr char kUnknownType[] = "Unknown value type";

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Behind the bracket that closes the one at the start of `data`.
std::size_t block_end(std::string_view data, char open, char close) {
  int level = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const char c = data[i];
    if (c == '"') {
      bool escaped = false;
      const std::size_t end = string_end(data, i + 1, escaped);
      if (end == npos) return npos;
      i = end - 1;
    } else if (c == open) {
      ++level;
    } else if (c == close && --level == 0) {
      return i + 1;
    }
  }
  return npos;
}

std::size_t token_end(std::string_view data, std::size_t from) {
  while (from < data.size()) {
    const char c = data[from];
    if (is_space(c) || c == ',' || c == '}' || c == ']') break;
    ++from;
  }
  return from;
}

Value fail(Error error) {
  Value out;
  out.error = error;
  return out;
}

Value read_block(std::string_view data, std::size_t at, char open, char close, Type type,
                 Error error) {
  const std::size_t end = block_end(data.substr(at), open, close);
  if (end == npos) return fail(error);
  return {data.substr(at, end), type, at + end, nullptr};
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The code unit of \uXXXX at the start of `text`, or -1.
int unit(std::string_view text) {
  if (text.size() < 6) return -1;
  int out = 0;
  for (std::size_t i = 2; i < 6; ++i) {
    const int digit = hex(text[i]);
    if (digit < 0) return -1;
    out = out * 16 + digit;
  }
  return out;
}

std::size_t encode(char* out, std::uint32_t rune) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) rune = base::kReplacementRune;
  std::string text;
  base::append_rune(text, static_cast<char32_t>(rune));
  std::memcpy(out, text.data(), text.size());
  return text.size();
}

// The array element `path[0]` names, then on; npos or the value's offset in `data`.
std::size_t search(std::string_view data, std::span<const std::string> path, Arena& arena,
                   int depth);

template <typename Visit>
std::size_t for_each_element(std::string_view data, Visit&& visit) {
  std::size_t at = next_token(data, 0);
  if (at == npos) return npos;
  at = next_token(data, at + 1);
  if (at == npos) return npos;
  if (data[at] == ']') return at;
  for (;;) {
    const Value value = read_value(data.substr(at));
    if (value.error != nullptr || value.end == 0) return at;
    visit(value, at + value.end - value.text.size());
    at += value.end;
    const std::size_t next = next_token(data, at);
    if (next == npos) return at;
    at = next;
    if (data[at] != ',') return at;
    ++at;
  }
}

std::optional<int> element_index(std::string_view segment) {
  std::int64_t index = 0;
  if (segment.size() < 3 || segment.front() != '[' || segment.back() != ']') return std::nullopt;
  if (gotext::read_int(segment.substr(1, segment.size() - 2), 10, 32, index) !=
      gotext::NumberError::kNone)
    return std::nullopt;
  return static_cast<int>(index);
}

std::size_t search_array(std::string_view data, std::size_t at, std::span<const std::string> path,
                         Arena& arena, int depth) {
  const auto wanted = element_index(path[0]);
  if (!wanted || depth > kJsonDepthMax) return npos;
  int index = 0;
  std::string_view found;
  std::size_t offset = npos;
  for_each_element(data.substr(at), [&](const Value& value, std::size_t value_offset) {
    if (index++ != *wanted) return;
    offset = value_offset;
    found = value.text;
    if (value.type == Type::kString) {
      offset -= 2;
      found = data.substr(std::min(at + offset, data.size()), value.text.size() + 2);
    }
  });
  if (offset == npos || found.data() == nullptr) return npos;
  const std::size_t inner = search(found, path.subspan(1), arena, depth + 1);
  return inner == npos ? npos : at + offset + inner;
}

std::size_t search(std::string_view data, std::span<const std::string> path, Arena& arena,
                   int depth) {
  if (path.empty()) return 0;
  std::size_t key_level = 0, level = 0;
  bool last_matched = true;
  for (std::size_t i = 0; i < data.size(); ++i) {
    switch (data[i]) {
      case '"': {
        bool escaped = false;
        const std::size_t begin = i + 1;
        const std::size_t end = string_end(data, begin, escaped);
        if (end == npos) return npos;
        i = next_token(data, end);
        if (i == npos) return npos;
        if (data[i] != ':') {
          --i;
          break;
        }
        if (level < 1) return npos;
        auto key = std::optional(data.substr(begin, end - begin - 1));
        if (escaped && !(key = unescape(*key, arena))) return npos;
        if (level > path.size()) return npos;
        last_matched = *key == path[level - 1];
        if (last_matched && key_level == level - 1 && ++key_level == path.size()) return i + 1;
        break;
      }
      case '{':
        if (!last_matched) {
          const std::size_t end = block_end(data.substr(i), '{', '}');
          if (end == npos) return npos;
          i += end - 1;
        } else {
          ++level;
        }
        break;
      case '}':
        if (level == 0) return npos;
        if (--level == key_level && key_level > 0) --key_level;
        break;
      case '[':
        if (key_level == level && level < path.size() && path[level].starts_with('[')) {
          return search_array(data, i, path.subspan(level), arena, depth);
        } else {
          const std::size_t end = block_end(data.substr(i), '[', ']');
          if (end == npos) return npos;
          i += end - 1;
        }
        break;
      case ':': return npos;
      default: break;
    }
  }
  return npos;
}

// One pass over the line for all paths of `| json a="x.y", b="z[0]"`.
class PathFinder {
 public:
  PathFinder(std::string_view data, std::span<const std::vector<std::string>> paths, Arena& arena,
             const std::function<void(int, const Value&)>& visit)
      : data_(data), paths_(paths), arena_(arena), visit_(visit), done_(paths.size()) {
    for (const auto& path : paths) depth_max_ = std::max(depth_max_, path.size());
    keys_.resize(depth_max_);
  }

  void run() {
    for (at_ = 0; at_ < data_.size(); ++at_) {
      switch (data_[at_]) {
        case '"':
          if (!string()) return;
          break;
        case '{': ++level_; break;
        case '}':
        case ']': --level_; break;
        case '[':
          if (!array()) return;
          break;
        default: break;
      }
    }
  }

 private:
  bool all_found() const { return found_ == paths_.size(); }
  // Whether the path starts with the keys that lead here.
  bool same_tree(const std::vector<std::string>& path, std::size_t depth) const {
    for (std::size_t i = 0; i < std::min(path.size(), depth); ++i)
      if (path[i] != keys_[i]) return false;
    return true;
  }
  void malformed() { visit_(-1, fail(kMalformedJson)); }

  // False ends the search.
  bool string() {
    bool escaped = false;
    const std::size_t begin = at_ + 1;
    const std::size_t end = string_end(data_, begin, escaped);
    if (end == npos) return false;
    at_ = next_token(data_, end);
    if (at_ == npos) return false;
    if (data_[at_] != ':') {
      --at_;
      return true;
    }
    auto key = std::optional(data_.substr(begin, end - begin - 1));
    if (escaped && !(key = unescape(*key, arena_))) return false;
    bool matched = false;
    if (static_cast<long>(depth_max_) >= level_) {
      if (level_ < 1) return malformed(), false;
      if (!match_key(*key, matched)) return false;
    }
    if (!matched) {
      const std::size_t value = next_token(data_, at_ + 1);
      // Loki's scan adds -1 here when nothing follows, and goes on.
      at_ = value == npos ? at_ - 1 : value - 1;
      if (data_[at_] == '{') {
        const std::size_t skip = block_end(data_.substr(at_), '{', '}');
        if (skip == npos) return true;
        at_ += skip + 1;
      }
    }
    if (at_ < data_.size()) {
      const char c = data_[at_];
      if (c == '{' || c == '}' || c == '[' || c == '"') --at_;
    }
    return true;
  }

  bool match_key(std::string_view key, bool& matched) {
    const auto depth = static_cast<std::size_t>(level_);
    keys_[depth - 1] = key;
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      const auto& path = paths_[i];
      if (path.size() != depth || done_[i] || key != path[depth - 1] || !same_tree(path, depth))
        continue;
      matched = true;
      ++found_;
      done_[i] = true;
      visit_(static_cast<int>(i), read_value(data_.substr(at_ + 1)));
      if (all_found()) break;
    }
    return !all_found();
  }

  bool array() {
    if (level_ < 0) return malformed(), false;
    const auto depth = static_cast<std::size_t>(level_);
    std::vector<std::pair<std::size_t, int>> wanted;  // path, element
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      const auto& path = paths_[i];
      if (path.size() < depth + 1 || done_[i] || !path[depth].starts_with('[') ||
          !same_tree(path, depth))
        continue;
      if (path[depth].size() > 2) wanted.emplace_back(i, element_index(path[depth]).value_or(0));
    }
    if (wanted.empty()) {
      const std::size_t end = block_end(data_.substr(at_), '[', ']');
      if (end == npos) return false;
      at_ += end - 1;
      return true;
    }
    ++level_;
    int index = 0;
    const std::size_t end =
        for_each_element(data_.substr(at_), [&](const Value& value, std::size_t) {
          for (const auto& [i, element] : wanted)
            if (element == index) take_element(i, value, depth + 1);
          ++index;
        });
    if (all_found() || end == npos) return false;
    at_ += end == 0 ? 0 : end - 1;
    return true;
  }

  void take_element(std::size_t i, const Value& value, std::size_t depth) {
    const std::span<const std::string> rest = std::span(paths_[i]).subspan(depth);
    const std::size_t offset = search(value.text, rest, arena_, 0);
    ++found_;
    done_[i] = true;
    if (offset == npos) return;
    if (value.type == Type::kString)
      visit_(static_cast<int>(i), {value.text.substr(offset), Type::kString, 0, nullptr});
    else
      visit_(static_cast<int>(i), read_value(value.text.substr(offset)));
  }

  std::string_view data_;
  std::span<const std::vector<std::string>> paths_;
  Arena& arena_;
  const std::function<void(int, const Value&)>& visit_;
  std::vector<bool> done_;
  std::vector<std::string_view> keys_;
  std::size_t depth_max_ = 0, found_ = 0, at_ = 0;
  long level_ = 0;
};

}  // namespace

std::size_t next_token(std::string_view data, std::size_t from) {
  while (from < data.size() && is_space(data[from])) ++from;
  return from < data.size() ? from : npos;
}

std::size_t string_end(std::string_view data, std::size_t from, bool& escaped) {
  for (std::size_t at = from; at < data.size();) {
    const void* quote = std::memchr(data.data() + at, '"', data.size() - at);
    if (quote == nullptr) break;
    const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(quote) - data.data());
    std::size_t slashes = end;
    while (slashes > from && data[slashes - 1] == '\\') --slashes;
    if ((end - slashes) % 2 == 0) {
      escaped = end > from && std::memchr(data.data() + from, '\\', end - from) != nullptr;
      return end + 1;
    }
    at = end + 1;
  }
  return npos;
}

Value read_value(std::string_view data) {
  const std::size_t at = next_token(data, 0);
  if (at == npos) return fail(kMalformedJson);
  const char c = data[at];
  if (c == '"') {
    bool escaped = false;
    const std::size_t end = string_end(data, at + 1, escaped);
    if (end == npos) return fail(kMalformedString);
    return {data.substr(at + 1, end - at - 2), Type::kString, end, nullptr};
  }
  if (c == '[') return read_block(data, at, '[', ']', Type::kArray, kMalformedArray);
  if (c == '{') return read_block(data, at, '{', '}', Type::kObject, kMalformedObject);
  const std::size_t end = token_end(data, at);
  const std::string_view token = data.substr(at, end - at);
  if (token == "true" || token == "false") return {token, Type::kBoolean, end, nullptr};
  if (token == "null") return {token, Type::kNull, end, nullptr};
  if ((c >= '0' && c <= '9') || c == '-') return {token, Type::kNumber, end, nullptr};
  return fail(kUnknownType);
}

std::optional<std::string_view> unescape(std::string_view text, Arena& arena) {
  std::size_t slash = text.find('\\');
  if (slash == npos) return text;
  char* out = arena.allocate(text.size());
  std::size_t size = 0;
  const auto put = [&](std::string_view piece) {
    std::memcpy(out + size, piece.data(), piece.size());
    size += piece.size();
  };
  while (slash != npos) {
    put(text.substr(0, slash));
    text.remove_prefix(slash);
    if (text.size() < 2) return std::nullopt;
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const std::size_t simple = kFrom.find(text[1]); simple != npos) {
      out[size++] = kTo[simple];
      text.remove_prefix(2);
    } else if (text[1] == 'u') {
      const int high = unit(text);
      if (high < 0) return std::nullopt;
      if (high < 0xD800 || high > 0xDFFF) {
        size += encode(out + size, static_cast<std::uint32_t>(high));
        text.remove_prefix(6);
      } else {
        const int low = unit(text.substr(6));
        if (low < 0xDC00) return std::nullopt;
        size += encode(out + size, static_cast<std::uint32_t>(0x10000 + ((high - 0xD800) << 10) +
                                                              (low - 0xDC00)));
        text.remove_prefix(12);
      }
    } else {
      return std::nullopt;
    }
    slash = text.find('\\');
  }
  put(text);
  return std::string_view(out, size);
}

std::string_view unescape_value(std::string_view text, Arena& arena) {
  const auto plain = unescape(text, arena);
  if (!plain) return {};
  return replace_invalid(*plain, arena);
}

void find_paths(std::string_view data, std::span<const std::vector<std::string>> paths,
                Arena& arena, const std::function<void(int, const Value&)>& visit) {
  PathFinder(data, paths, arena, visit).run();
}

std::string_view replace_invalid(std::string_view text, Arena& arena) {
  const bool ascii = std::none_of(text.begin(), text.end(),
                                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (ascii) return text;
  if (base::is_valid_utf8(text) && text.find("\xEF\xBF\xBD") == npos) return text;
  char* out = arena.allocate(text.size());
  std::size_t size = 0;
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (rune.value == base::kReplacementRune) {
      out[size++] = ' ';
    } else {
      std::memcpy(out + size, text.data(), rune.width);
      size += rune.width;
    }
    text.remove_prefix(rune.width);
  }
  return {out, size};
}

}  // namespace skald::query::json
