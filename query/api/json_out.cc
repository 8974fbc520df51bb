#include "query/api/json_out.h"

#include <array>
#include <charconv>
#include <cmath>

#include "proto/base/utf8.h"

namespace skald::query::api {
namespace {

// 0: as it is; 1: needs \uXXXX; 2: part of a multi-byte rune; else the letter after the backslash.
constexpr std::array<char, 256> kEscapes = [] {
  std::array<char, 256> table{};
  for (int c = 0; c < 32; ++c) table[c] = 1;
  table['"'] = '"';
  table['\\'] = '\\';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table[127] = 0;
  for (int c = 128; c < 256; ++c) table[c] = 2;
  return table;
}();

// Appends one multi-byte rune at `at` and returns its width.
std::size_t append_rune_at(std::string& out, std::string_view text, std::size_t at) {
  const base::Rune rune = base::decode_rune(text.substr(at));
  if (rune.valid)
    out.append(text.substr(at, rune.width));
  else
    out.append("\xEF\xBF\xBD");
  return rune.width;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  std::size_t run = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const char escape = kEscapes[static_cast<unsigned char>(text[at])];
    if (escape == 0) {
      ++at;
      continue;
    }
    out.append(text.data() + run, at - run);
    if (escape == 2) {
      at += append_rune_at(out, text, at);
    } else if (escape == 1) {
      static constexpr char kHex[] = "0123456789abcdef";
      const auto c = static_cast<unsigned char>(text[at++]);
      out.append("\\u00").push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
    } else {
      out.push_back('\\');
      out.push_back(escape);
      ++at;
    }
    run = at;
  }
  out.append(text.data() + run, at - run);
  out.push_back('"');
}

void append_json_labels(std::string& out, const model::Labels& labels) {
  out.push_back('{');
  bool first = true;
  for (const auto& [name, value] : labels) {
    if (!first) out.push_back(',');
    first = false;
    append_json_string(out, name);
    out.push_back(':');
    append_json_string(out, value);
  }
  out.push_back('}');
}

void append_json_strings(std::string& out, const std::vector<std::string>& texts) {
  out.push_back('[');
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_json_string(out, texts[i]);
  }
  out.push_back(']');
}

void append_integer(std::string& out, std::int64_t value) {
  char text[24];
  out.append(text,
             static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value).ptr - text));
}

void append_unsigned(std::string& out, std::uint64_t value) {
  char text[24];
  out.append(text,
             static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value).ptr - text));
}

void append_sample_value(std::string& out, double value) {
  if (std::isnan(value)) {
    out.append("NaN");
  } else if (std::isinf(value)) {
    out.append(value > 0 ? "+Inf" : "-Inf");
  } else {
    char text[400];  // the longest double has 309 digits before the point
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
    out.append(text, static_cast<std::size_t>(end - text));
  }
}

void append_seconds(std::string& out, std::int64_t time_ms) {
  if (time_ms < 0) {
    out.push_back('-');
    time_ms = -time_ms;
  }
  append_integer(out, time_ms / 1000);
  std::int64_t fraction = time_ms % 1000;
  if (fraction == 0) return;
  char digits[4] = {'.', static_cast<char>('0' + fraction / 100),
                    static_cast<char>('0' + fraction / 10 % 10),
                    static_cast<char>('0' + fraction % 10)};
  std::size_t size = 4;
  while (digits[size - 1] == '0') --size;
  out.append(digits, size);
}

}  // namespace skald::query::api
