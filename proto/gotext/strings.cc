#include "proto/gotext/strings.h"

#include <algorithm>
#include <bitset>
#include <cstring>

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

template <typename F>
std::string map_runes(std::string_view text, F&& mapping) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte < 0x80) {
      out += static_cast<char>(mapping(byte));
      text.remove_prefix(1);
      continue;
    }
    const base::Rune rune = base::decode_rune(text);
    base::append_rune(out, mapping(rune.value));
    text.remove_prefix(rune.width);
  }
  return out;
}

// The runes of a cutset, which may be as long as the text that it trims.
class RuneSet {
 public:
  explicit RuneSet(std::string_view runes) {
    while (!runes.empty()) {
      const base::Rune rune = base::decode_rune(runes);
      if (rune.value < ascii_.size())
        ascii_.set(rune.value);
      else
        others_.push_back(rune.value);
      runes.remove_prefix(rune.width);
    }
    std::sort(others_.begin(), others_.end());
  }
  bool contains(char32_t rune) const {
    if (rune < ascii_.size()) return ascii_.test(rune);
    return std::binary_search(others_.begin(), others_.end(), rune);
  }

 private:
  std::bitset<0x80> ascii_;
  std::vector<char32_t> others_;
};

std::string_view trim_left(std::string_view text, const RuneSet& cutset) {
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (!cutset.contains(rune.value)) break;
    text.remove_prefix(rune.width);
  }
  return text;
}

// The last rune's width; an invalid byte is one rune.
base::Rune last_rune(std::string_view text) {
  for (std::size_t width = 1; width <= std::min<std::size_t>(4, text.size()); ++width) {
    const base::Rune rune = base::decode_rune(text.substr(text.size() - width));
    if (rune.valid && rune.width == width) return rune;
  }
  return {base::kReplacementRune, 1, false};
}

std::string_view trim_right(std::string_view text, const RuneSet& cutset) {
  while (!text.empty()) {
    const base::Rune rune = last_rune(text);
    if (!cutset.contains(rune.value)) break;
    text.remove_suffix(rune.width);
  }
  return text;
}

bool is_separator(char32_t rune) {
  if (rune < 0x80) return !is_letter(rune) && !is_digit_rune(rune) && rune != '_';
  return !is_letter(rune) && !is_digit_rune(rune) && is_space(rune);
}

bool unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

base::Status too_long() {
  return base::resource_exhausted("template function result is longer than " +
                                  std::to_string(kFunctionOutputMax) + " bytes");
}

// Reads four symbols at a time, as encoding/base64 does, to report the same position.
class Base64Decoder {
 public:
  explicit Base64Decoder(std::string_view text) : text_(text) {}

  base::Result<std::string> run() {
    while (!ended_ && at_ < text_.size())
      if (!quantum()) {
        return base::invalid_argument("illegal base64 data at input byte " +
                                      std::to_string(error_at_));
      }
    return std::move(out_);
  }

 private:
  bool fail(std::size_t at) {
    error_at_ = at;
    return false;
  }
  void skip_newlines() {
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool quantum() {
    std::uint32_t bits = 0;
    std::size_t have = 0;
    while (have < 4) {
      if (at_ == text_.size()) {
        if (have == 0) return true;
        return fail(at_ - have);
      }
      const char c = text_[at_++];
      if (const auto value = kBase64.find(c); value != std::string_view::npos) {
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        ++have;
        continue;
      }
      if (c == '\n' || c == '\r') continue;
      if (c != '=' || have < 2) return fail(at_ - 1);
      if (have == 2) {
        skip_newlines();
        if (at_ == text_.size()) return fail(text_.size());
        if (text_[at_] != '=') return fail(at_ - 1);
        ++at_;
      }
      skip_newlines();
      if (at_ < text_.size()) return fail(at_);
      ended_ = true;
      break;
    }
    bits <<= 6 * (4 - have);
    out_ += static_cast<char>(bits >> 16);
    if (have > 2) out_ += static_cast<char>(bits >> 8);
    if (have > 3) out_ += static_cast<char>(bits);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t error_at_ = 0;
  bool ended_ = false;
  std::string out_;
};

}  // namespace

std::string to_upper(std::string_view text) { return map_runes(text, to_upper_rune); }
std::string to_lower(std::string_view text) { return map_runes(text, to_lower_rune); }

std::string title(std::string_view text) {
  char32_t before = ' ';
  return map_runes(text, [&](char32_t rune) {
    const bool starts = is_separator(before);
    before = rune;
    return starts ? to_title_rune(rune) : rune;
  });
}

// Words by the core of UAX #29: letters, digits and connectors join; one of ' . : and their like
// between two letters, or of ' . , between two digits, does not end a word.
std::string title_words(std::string_view text) {
  const std::vector<char32_t> all = runes(text);
  std::string out;
  bool in_word = false;
  const auto word_rune = [](char32_t r) { return is_letter(r) || is_digit_rune(r) || r == '_'; };
  for (std::size_t i = 0; i < all.size(); ++i) {
    const char32_t r = all[i];
    if (word_rune(r)) {
      base::append_rune(out, in_word ? r : to_title_rune(r));
      in_word = in_word || is_letter(r);  // "1st" becomes "1St"
      continue;
    }
    base::append_rune(out, r);
    const char32_t before = i > 0 ? all[i - 1] : 0;
    const char32_t after = i + 1 < all.size() ? all[i + 1] : 0;
    const bool letters = is_letter(before) && is_letter(after);
    const bool digits = is_digit_rune(before) && is_digit_rune(after);
    const bool quote_or_dot = r == '\'' || r == '.' || r == 0x2018 || r == 0x2019 || r == 0x2024;
    const bool joins = (letters && (quote_or_dot || r == ':' || r == 0xB7)) ||
                       (digits && (quote_or_dot || r == ',' || r == ';'));
    if (!joins) in_word = false;
  }
  return out;
}

std::string_view trim_left(std::string_view text, std::string_view cutset) {
  return trim_left(text, RuneSet(cutset));
}

std::string_view trim_right(std::string_view text, std::string_view cutset) {
  return trim_right(text, RuneSet(cutset));
}

std::string_view trim(std::string_view text, std::string_view cutset) {
  const RuneSet set(cutset);
  return trim_right(trim_left(text, set), set);
}

std::string_view trim_space(std::string_view text) noexcept {
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (!is_space(rune.value)) break;
    text.remove_prefix(rune.width);
  }
  while (!text.empty()) {
    const base::Rune rune = last_rune(text);
    if (!is_space(rune.value)) break;
    text.remove_suffix(rune.width);
  }
  return text;
}

base::Result<std::string> replace(std::string_view text, std::string_view from, std::string_view to,
                                  std::int64_t count) {
  if (from == to || count == 0) return std::string(text);
  std::string out;
  std::size_t at = 0;
  bool first = true;
  for (; count != 0; --count) {
    std::size_t found = at;
    if (from.empty()) {  // between runes, and at both ends
      if (!first) {
        if (at >= text.size()) break;
        found = at + base::decode_rune(text.substr(at)).width;
      }
    } else {
      found = find(text, from, at);
      if (found == std::string_view::npos) break;
    }
    first = false;
    out.append(text.substr(at, found - at)).append(to);
    at = found + from.size();
    if (out.size() > kFunctionOutputMax) return too_long();
  }
  out += text.substr(at);
  return out;
}

base::Result<std::string> repeat(std::string_view text, std::int64_t count) {
  if (count < 0) return base::invalid_argument("strings: negative Repeat count");
  if (!text.empty() && static_cast<std::uint64_t>(count) > kFunctionOutputMax / text.size())
    return too_long();
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() * static_cast<std::size_t>(count));
  for (; count > 0; --count) out += text;
  return out;
}

std::size_t find(std::string_view text, std::string_view part, std::size_t from) noexcept {
  if (from > text.size() || part.size() > text.size() - from) return std::string_view::npos;
  if (part.empty()) return from;  // memmem() takes no null
  const void* at = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    std::int64_t count) {
  std::vector<std::string_view> out;
  if (count == 0) return out;
  while (count < 0 || static_cast<std::int64_t>(out.size()) + 1 < count) {
    if (separator.empty()) {
      if (text.empty()) return out;
      const std::size_t width = base::decode_rune(text).width;
      if (width == text.size()) break;
      out.push_back(text.substr(0, width));
      text.remove_prefix(width);
      continue;
    }
    const auto found = find(text, separator);
    if (found == std::string_view::npos) break;
    out.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  out.push_back(text);
  return out;
}

std::vector<char32_t> runes(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    out.push_back(rune.value);
    text.remove_prefix(rune.width);
  }
  return out;
}

std::string from_runes(const std::vector<char32_t>& all, std::size_t from, std::size_t to) {
  std::string out;
  for (std::size_t i = from; i < to; ++i) base::append_rune(out, all[i]);
  return out;
}

base::Result<std::string> base64_decode(std::string_view text) { return Base64Decoder(text).run(); }

std::string query_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      base::append_hex(out, c, base::kUpperHexDigits);
    }
  }
  return out;
}

base::Result<std::string> query_unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%') {
      const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return base::invalid_argument("invalid URL escape " + quote(text.substr(i, 3)));
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace skald::gotext
