#include "query/exec/label_names.h"

#include <array>
#include <string>

#include "proto/base/utf8.h"
#include "proto/gotext/functions.h"

namespace skald::query {
namespace {

constexpr std::array<bool, 256> make_clean_table() {
  std::array<bool, 256> out{};
  for (int c = 0; c < 256; ++c)
    out[static_cast<std::size_t>(c)] =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  return out;
}
constexpr std::array<bool, 256> kClean = make_clean_table();

bool is_clean(std::string_view key) {
  for (const char c : key)
    if (!kClean[static_cast<unsigned char>(c)]) return false;
  return true;
}

// Writes at most key.size() bytes: every character becomes one.
std::size_t write_clean(std::string_view key, char* out) {
  std::size_t size = 0;
  while (!key.empty()) {
    const auto c = static_cast<unsigned char>(key[0]);
    std::size_t width = 1;
    if (c >= 0x80) width = base::decode_rune(key).width;
    out[size++] = c < 0x80 && kClean[c] ? static_cast<char>(c) : '_';
    key.remove_prefix(width);
  }
  return size;
}

}  // namespace

std::string_view trim_unicode_space(std::string_view text) { return gotext::trim_space(text); }

std::string_view clean_label_name(std::string_view key, Arena& arena) {
  if (key.empty()) return key;
  const bool digit = key[0] >= '0' && key[0] <= '9';
  if (!digit && is_clean(key)) return key;
  key = trim_unicode_space(key);
  if (key.empty()) return key;
  char* out = arena.allocate(key.size() + 1);
  std::size_t size = 0;
  if (key[0] >= '0' && key[0] <= '9') out[size++] = '_';
  size += write_clean(key, out + size);
  return {out, size};
}

void append_label_name(std::string& out, std::string_view key) {
  key = trim_unicode_space(key);
  if (key.empty()) return;
  if (!out.empty()) out += '_';
  if (out.empty() && key[0] >= '0' && key[0] <= '9') out += '_';
  const std::size_t before = out.size();
  out.resize(before + key.size());
  out.resize(before + write_clean(key, out.data() + before));
}

}  // namespace skald::query
