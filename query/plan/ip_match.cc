#include "query/plan/ip_match.h"

#include <vector>

namespace skald::query::plan {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
int hex_value(char c) { return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10; }

// Dotted decimal, no leading zeros.
std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> out{};
  for (std::size_t part = 0; part < 4; ++part) {
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) {
      if (digits == 1 && text[0] == '0') return std::nullopt;
      value = value * 10 + static_cast<unsigned>(text[digits] - '0');
      if (value > 255 || ++digits > 3) return std::nullopt;
    }
    if (digits == 0) return std::nullopt;
    out[part] = static_cast<std::uint8_t>(value);
    text.remove_prefix(digits);
    if (part == 3) return text.empty() ? std::optional(out) : std::nullopt;
    if (text.empty() || text[0] != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  return std::nullopt;
}

std::optional<IpAddress> parse_v6(std::string_view text) {
  IpAddress out;
  if (const std::size_t percent = text.find('%'); percent != std::string_view::npos) {
    out.zone = text.substr(percent + 1);
    if (out.zone.empty()) return std::nullopt;
    text = text.substr(0, percent);
  }
  std::vector<std::uint8_t> head, tail;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    std::vector<std::uint8_t>& side = gap ? tail : head;
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && is_hex(text[digits])) {
      value = value * 16 + static_cast<unsigned>(hex_value(text[digits]));
      if (++digits > 4) return std::nullopt;
    }
    if (digits == 0) return std::nullopt;
    if (digits < text.size() && text[digits] == '.') {
      const auto v4 = parse_v4(text);
      if (!v4) return std::nullopt;
      side.insert(side.end(), v4->begin(), v4->end());
      text = {};
      break;
    }
    side.push_back(static_cast<std::uint8_t>(value >> 8));
    side.push_back(static_cast<std::uint8_t>(value));
    if (head.size() + tail.size() > 16) return std::nullopt;
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text[0] != ':') return std::nullopt;
    text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
    if (text[0] == ':') {
      if (gap) return std::nullopt;
      gap = true;
      text.remove_prefix(1);
    }
  }
  const std::size_t size = head.size() + tail.size();
  if (gap ? size > 14 : size != 16) return std::nullopt;
  std::copy(head.begin(), head.end(), out.bytes.begin());
  std::copy(tail.begin(), tail.end(), out.bytes.end() - static_cast<long>(tail.size()));
  return out;
}

// The length of the longest start of `text` made of these characters.
std::size_t span(std::string_view text, bool v6) {
  std::size_t i = 0;
  while (i < text.size() &&
         (is_digit(text[i]) || text[i] == '.' || (v6 && (is_hex(text[i]) || text[i] == ':'))))
    ++i;
  return i;
}

bool hints_v4(std::string_view p) {
  return is_digit(p[0]) && (p[1] == '.' || p[2] == '.' || p[3] == '.');
}
bool hints_v6(std::string_view p) {
  if (p[0] == ':' && p[1] == ':' && is_hex(p[2])) return true;
  for (std::size_t i = 0; i < 4 && is_hex(p[i]); ++i)
    if (p[i + 1] == ':') return true;
  return false;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  // Whichever of '.', ':' and '%' comes first decides.
  for (const char c : text) {
    if (c == '.') {
      const auto v4 = parse_v4(text);
      if (!v4) return std::nullopt;
      IpAddress out;
      out.v4 = true;
      std::copy(v4->begin(), v4->end(), out.bytes.begin());
      return out;
    }
    if (c == ':') return parse_v6(text);
    if (c == '%') return std::nullopt;
  }
  return std::nullopt;
}

base::Result<IpPattern> IpPattern::parse(std::string_view text) {
  const auto fail = [&] {
    return base::invalid_argument("ip: invalid pattern: \"" + std::string(text) + "\"");
  };
  IpPattern out;
  if (const auto address = parse_ip(text)) {
    out.low_ = out.high_ = *address;
    out.single_ = true;
    return out;
  }
  if (const std::size_t slash = text.rfind('/'); slash != std::string_view::npos) {
    const auto address = parse_ip(text.substr(0, slash));
    const std::string_view bits_text = text.substr(slash + 1);
    if (!address || !address->zone.empty() || bits_text.empty() || bits_text.size() > 3 ||
        (bits_text.size() > 1 && bits_text[0] == '0'))
      return fail();
    unsigned bits = 0;
    for (const char c : bits_text) {
      if (!is_digit(c)) return fail();
      bits = bits * 10 + static_cast<unsigned>(c - '0');
    }
    const unsigned width = address->v4 ? 32 : 128;
    if (bits > width) return fail();
    out.low_ = out.high_ = *address;
    for (unsigned bit = bits; bit < width; ++bit) {
      const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
      out.low_.bytes[bit / 8] &= static_cast<std::uint8_t>(~mask);
      out.high_.bytes[bit / 8] |= mask;
    }
    return out;
  }
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return fail();
  const auto low = parse_ip(text.substr(0, dash)), high = parse_ip(text.substr(dash + 1));
  if (!low || !high || low->v4 != high->v4 || !low->zone.empty() || !high->zone.empty() ||
      *high < *low)
    return fail();
  out.low_ = *low;
  out.high_ = *high;
  return out;
}

bool IpPattern::matches(const IpAddress& address) const {
  if (single_) return address == low_;
  return address.v4 == low_.v4 && address.zone.empty() && address >= low_ && address <= high_;
}

bool IpPattern::found_in(std::string_view text) const {
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool v6 = false;
    if (i + 3 < text.size() && hints_v4(text.substr(i)))
      v6 = false;
    else if (i + 4 < text.size() && hints_v6(text.substr(i)))
      v6 = true;
    else
      continue;
    const std::size_t length = span(text.substr(i), v6);
    const auto address = parse_ip(text.substr(i, length));
    if (address && matches(*address)) return true;
    i += length;
  }
  return false;
}

// Addresses are written without leading zeros, so that equal numbers are equal text.
std::vector<std::string> IpPattern::needles() const {
  constexpr unsigned kAlternativesMax = 16;
  if (!low_.v4) return {};
  std::string same;
  std::size_t part = 0;
  const auto number = [](unsigned value, std::size_t of_part) {
    return std::to_string(value) + (of_part < 3 ? "." : "");
  };
  for (; part < 4 && low_.bytes[part] == high_.bytes[part]; ++part)
    same += number(low_.bytes[part], part);
  std::vector<std::string> out;
  if (part < 4 && high_.bytes[part] - low_.bytes[part] < static_cast<int>(kAlternativesMax))
    for (unsigned value = low_.bytes[part]; value <= high_.bytes[part]; ++value)
      out.push_back(same + number(value, part));
  else if (!same.empty())
    out.push_back(same);
  return out;
}

}  // namespace skald::query::plan
