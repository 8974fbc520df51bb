#include "agent/parse/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <cmath>

#include "agent/parse/limits.h"
#include "proto/base/utf8.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// After a backslash at *p; the end of the escape, or null.
const char* escape_end(const char* p, const char* end) noexcept {
  if (end - p < 2) return nullptr;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return p + 2;
    case 'u':
      if (end - p < 6) return nullptr;
      for (int i = 2; i < 6; ++i) {
        if (!is_hex(p[i])) return nullptr;
      }
      return p + 6;
    default: return nullptr;
  }
}

// From after the opening quote to the closing one; null: no valid string.
inline const char* string_end(const char* p, const char* end, bool& escaped) noexcept {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmpeq_epi8(_mm_max_epu8(bytes, control), control));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit));
    if (mask == 0) {
      p += 16;
      continue;
    }
    p += std::countr_zero(mask);
    if (*p == '"') return p;
    if (*p != '\\') return nullptr;
    escaped = true;
    p = escape_end(p, end);
    if (p == nullptr) return nullptr;
  }
#endif
  while (p < end) {
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"') return p;
    if (c < 0x20) return nullptr;
    if (c == '\\') {
      escaped = true;
      p = escape_end(p, end);
      if (p == nullptr) return nullptr;
    } else {
      ++p;
    }
  }
  return nullptr;
}

inline bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

// From the number's first character to its end; null: no number, or one beyond a double.
inline const char* number_end(const char* p, const char* end) noexcept {
  const char* const start = p;
  if (p < end && *p == '-') ++p;
  if (p == end || !is_digit(*p)) return nullptr;
  if (*p == '0') {
    ++p;
  } else {
    while (p < end && is_digit(*p)) ++p;
  }
  if (p < end && *p == '.') {
    if (++p == end || !is_digit(*p)) return nullptr;
    while (p < end && is_digit(*p)) ++p;
  }
  bool check_range = p - start > 300;
  if (p < end && (*p == 'e' || *p == 'E')) {
    if (++p < end && (*p == '+' || *p == '-')) ++p;
    if (p == end || !is_digit(*p)) return nullptr;
    while (p < end && is_digit(*p)) ++p;
    check_range = true;
  }
  if (check_range) {
    double value = 0;
    const auto error =
        gotext::read_float(std::string_view(start, static_cast<std::size_t>(p - start)), value);
    if (error != gotext::NumberError::kNone) return nullptr;
  }
  return p;
}

inline const char* skip_space(const char* p, const char* end) noexcept {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) ++p;
  return p;
}

inline const char* word_end(const char* p, const char* end, std::string_view word) noexcept {
  if (static_cast<std::size_t>(end - p) < word.size()) return nullptr;
  return std::memcmp(p, word.data(), word.size()) == 0 ? p + word.size() : nullptr;
}

// One scalar at p (not at space); null: none.
inline const char* scalar_end(const char* p, const char* end) noexcept {
  bool escaped = false;
  switch (*p) {
    case '"': {
      const char* close = string_end(p + 1, end, escaped);
      return close == nullptr ? nullptr : close + 1;
    }
    case 't': return word_end(p, end, "true");
    case 'f': return word_end(p, end, "false");
    case 'n': return word_end(p, end, "null");
    default: return number_end(p, end);
  }
}

// `"key" :` at p; returns after the colon and space, or null.
inline const char* key_end(const char* p, const char* end, std::string_view& key,
                           bool& escaped) noexcept {
  if (p == end || *p != '"') return nullptr;
  escaped = false;
  const char* close = string_end(p + 1, end, escaped);
  if (close == nullptr) return nullptr;
  key = {p + 1, static_cast<std::size_t>(close - p - 1)};
  p = skip_space(close + 1, end);
  if (p == end || *p != ':') return nullptr;
  return skip_space(p + 1, end);
}

// A whole container at p ('{' or '['), without recursion: one flag per open level.
const char* container_end(const char* p, const char* end, int depth) noexcept {
  std::array<bool, kJsonDepthMax + 1> in_object;  // set when a level opens: not cleared first
  const int floor = depth;
  std::string_view key;
  bool escaped = false;
  for (;;) {  // at p: the start of a value
    if (p == end) return nullptr;
    bool closed = false;
    if (*p == '{' || *p == '[') {
      if (++depth > kJsonDepthMax) return nullptr;
      const bool object = *p == '{';
      in_object[static_cast<std::size_t>(depth)] = object;
      p = skip_space(p + 1, end);
      if (p == end) return nullptr;
      if (*p == (object ? '}' : ']')) {
        ++p;
        --depth;
        closed = true;
      } else if (object) {
        p = key_end(p, end, key, escaped);
        if (p == nullptr) return nullptr;
      }
    } else {
      p = scalar_end(p, end);
      if (p == nullptr) return nullptr;
      closed = true;
    }
    while (closed) {  // a value has ended: what follows?
      if (depth == floor) return p;
      p = skip_space(p, end);
      if (p == end) return nullptr;
      const bool object = in_object[static_cast<std::size_t>(depth)];
      if (*p == ',') {
        p = skip_space(p + 1, end);
        if (object) {
          p = key_end(p, end, key, escaped);
          if (p == nullptr) return nullptr;
        }
        closed = false;
      } else if (*p == (object ? '}' : ']')) {
        ++p;
        --depth;
      } else {
        return nullptr;
      }
    }
  }
}

inline std::uint64_t length_bit(std::size_t size) noexcept {
  return std::uint64_t{1} << (size < 63 ? size : 63);
}

}  // namespace

class JsonScanner {
 public:
  using Branch = JsonPaths::Branch;
  JsonScanner(const char* end, Arena& arena, JsonField* results)
      : end_(end), arena_(arena), results_(results) {}

  // An object at p, whose keys lead to the branches. Recursion is as deep as the paths are long.
  const char* object(const char* p, const Branch& at, int depth) {
    p = skip_space(p + 1, end_);
    if (p == end_) return nullptr;
    if (*p == '}') return p + 1;
    for (;;) {
      std::string_view key;
      bool escaped = false;
      p = key_end(p, end_, key, escaped);
      if (p == nullptr || p == end_) return nullptr;
      const Branch* branch = find(at, key, escaped);
      p = branch == nullptr ? skip(p, depth) : wanted(p, *branch, depth);
      if (p == nullptr) return nullptr;
      p = skip_space(p, end_);
      if (p == end_) return nullptr;
      if (*p == '}') return p + 1;
      if (*p != ',') return nullptr;
      p = skip_space(p + 1, end_);
    }
  }

 private:
  const Branch* find(const Branch& at, std::string_view key, bool escaped) {
    if (escaped) key = unescape(key, arena_);
    if ((at.lengths & length_bit(key.size())) == 0) return nullptr;
    for (const Branch& branch : at.branches) {
      if (branch.key.size() == key.size() &&
          std::memcmp(branch.key.data(), key.data(), key.size()) == 0) {
        return &branch;
      }
    }
    return nullptr;
  }
  const char* skip(const char* p, int depth) {
    return *p == '{' || *p == '[' ? container_end(p, end_, depth) : scalar_end(p, end_);
  }
  const char* wanted(const char* p, const Branch& branch, int depth) {
    for (std::size_t result : branch.below) results_[result] = {};  // a duplicate key starts anew
    JsonField field;
    const char* const start = p;
    const char* text_end = nullptr;
    switch (*p) {
      case '"': {
        const char* close = string_end(p + 1, end_, field.escaped);
        if (close == nullptr) return nullptr;
        field.type = JsonField::Type::kString;
        field.text = {p + 1, static_cast<std::size_t>(close - p - 1)};
        p = close + 1;
        break;
      }
      case 't':
        field.type = JsonField::Type::kTrue;
        p = word_end(p, end_, "true");
        break;
      case 'f':
        field.type = JsonField::Type::kFalse;
        p = word_end(p, end_, "false");
        break;
      case 'n': p = word_end(p, end_, "null"); break;
      case '{':
      case '[':
        field.type = *p == '{' ? JsonField::Type::kObject : JsonField::Type::kArray;
        p = *p == '{' && !branch.branches.empty() ? object(p, branch, depth + 1)
                                                  : container_end(p, end_, depth);
        text_end = p;
        break;
      default:
        field.type = JsonField::Type::kNumber;
        p = number_end(p, end_);
        text_end = p;
    }
    if (p == nullptr) return nullptr;
    if (text_end != nullptr) field.text = {start, static_cast<std::size_t>(text_end - start)};
    for (std::size_t result : branch.results) results_[result] = field;
    return p;
  }

  const char* end_;
  Arena& arena_;
  JsonField* results_;
};

std::size_t JsonPaths::add(const std::vector<std::string>& path) {
  Branch* at = &root_;
  const std::size_t result = results_++;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (i > 0) at->below.push_back(result);
    Branch* next = nullptr;
    for (Branch& branch : at->branches) {
      if (branch.key == path[i]) next = &branch;
    }
    if (next == nullptr) {
      at->lengths |= length_bit(path[i].size());
      next = &at->branches.emplace_back();
      next->key = path[i];
    }
    at = next;
  }
  at->results.push_back(result);
  return result;
}

bool JsonPaths::scan(std::string_view text, Arena& arena, JsonField* results) const {
  for (std::size_t i = 0; i < results_; ++i) results[i] = {};
  const char* const end = text.data() + text.size();
  const char* p = skip_space(text.data(), end);
  if (p == end) return false;
  if (*p == '{') {
    p = JsonScanner(end, arena, results).object(p, root_, 1);
  } else {
    p = word_end(p, end, "null");
  }
  return p != nullptr && skip_space(p, end) == end;
}

bool is_json_value(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  const char* p = skip_space(text.data(), end);
  if (p == end) return false;
  p = *p == '{' || *p == '[' ? container_end(p, end, 0) : scalar_end(p, end);
  return p != nullptr && skip_space(p, end) == end;
}

namespace {

char32_t read_hex4(const char* p) noexcept {
  char32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    const int digit = is_digit(c) ? c - '0' : (c | 32) - 'a' + 10;
    value = value * 16 + static_cast<char32_t>(digit);
  }
  return value;
}

}  // namespace

void append_unescaped(std::string_view raw, std::string& out) {
  const char* p = raw.data();
  const char* const end = p + raw.size();
  while (p < end) {
    if (*p != '\\') {
      const auto* next =
          static_cast<const char*>(std::memchr(p, '\\', static_cast<std::size_t>(end - p)));
      if (next == nullptr) next = end;
      out.append(p, next);
      p = next;
      continue;
    }
    const char c = p[1];
    p += 2;
    switch (c) {
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        char32_t rune = read_hex4(p);
        p += 4;
        if (rune >= 0xD800 && rune < 0xE000) {
          char32_t low = 0;
          if (rune < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') low = read_hex4(p + 2);
          if (low >= 0xDC00 && low < 0xE000) {
            rune = 0x10000 + ((rune - 0xD800) << 10U) + (low - 0xDC00);
            p += 6;
          } else {
            rune = base::kReplacementRune;
          }
        }
        base::append_rune(out, rune);
        break;
      }
      default: out += c;
    }
  }
}

std::string_view unescape(std::string_view raw, Arena& arena) {
  std::string text;
  text.reserve(raw.size());
  append_unescaped(raw, text);
  return arena.copy(text);
}

}  // namespace skald::agent
