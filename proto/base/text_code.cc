#include "proto/base/text_code.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "proto/base/utf8.h"

namespace skald::base {
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
  for (int c = 128; c < 256; ++c) table[c] = 2;
  return table;
}();

// Appends one multi-byte rune at `at` and returns its width.
std::size_t append_rune_at(std::string& out, std::string_view text, std::size_t at) {
  const Rune rune = decode_rune(text.substr(at));
  if (rune.valid)
    out.append(text.substr(at, rune.width));
  else
    out.append("\xEF\xBF\xBD");
  return rune.width;
}

}  // namespace

void append_hex(std::string& out, char byte, const char* digits) {
  out.push_back(digits[static_cast<unsigned char>(byte) >> 4]);
  out.push_back(digits[static_cast<unsigned char>(byte) & 15]);
}

std::string hex_encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_hex(out, byte);
  return out;
}

std::string base64_encode(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out.push_back(k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

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
      out.append("\\u00");
      append_hex(out, text[at++]);
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

}  // namespace skald::base
