#include "store/catalog/layout.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "proto/base/text_code.h"

namespace skald::store::catalog {
namespace {

constexpr std::int64_t kDayNs = 24LL * 3600 * 1'000'000'000;

bool plain(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

std::string hex16(std::uint64_t value) {
  std::string out(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4)
    out[static_cast<std::size_t>(i)] = base::kHexDigits[value & 15];
  return out;
}

template <typename T>
bool take_number(std::string_view& text, char end, int base, T& out) {
  const std::size_t size = text.find(end);
  if (size == 0 || size == std::string_view::npos) return false;
  const auto [at, error] = std::from_chars(text.data(), text.data() + size, out, base);
  if (error != std::errc() || at != text.data() + size) return false;
  text.remove_prefix(size + 1);
  return true;
}

}  // namespace

std::string escape_tenant(std::string_view tenant) {
  std::string out;
  for (const char c : tenant) {
    if (plain(c)) {
      out.push_back(c);
    } else {
      out.push_back('%');
      base::append_hex(out, c);
    }
  }
  return out;
}

std::optional<std::string> unescape_tenant(std::string_view directory) {
  std::string out;
  for (std::size_t i = 0; i < directory.size(); ++i) {
    if (plain(directory[i])) {
      out.push_back(directory[i]);
      continue;
    }
    unsigned value = 0;
    if (directory[i] != '%' || i + 2 >= directory.size()) return std::nullopt;
    const auto [at, error] =
        std::from_chars(directory.data() + i + 1, directory.data() + i + 3, value, 16);
    if (error != std::errc() || at != directory.data() + i + 3) return std::nullopt;
    out.push_back(static_cast<char>(value));
    i += 2;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::string Layout::tenant_directory(std::string_view tenant) const {
  return tenants_directory() + "/" + escape_tenant(tenant);
}
std::string Layout::parts_directory(std::string_view tenant) const {
  return tenant_directory(tenant) + "/parts";
}
std::string Layout::quarantine_directory(std::string_view tenant) const {
  return tenant_directory(tenant) + "/quarantine";
}
std::string Layout::deletes_file(std::string_view tenant) const {
  return tenant_directory(tenant) + "/deletes";
}

std::int64_t day_of(model::TimestampNs time_ns) noexcept {
  const std::int64_t day = time_ns / kDayNs;
  return time_ns % kDayNs < 0 ? day - 1 : day;
}

model::TimeRange range_of_day(std::int64_t day) noexcept {
  constexpr std::int64_t kDayMax = std::numeric_limits<std::int64_t>::max() / kDayNs - 1;
  day = std::clamp(day, -kDayMax, kDayMax);
  return {day * kDayNs, (day + 1) * kDayNs};
}

std::string PartName::to_string() const {
  return std::to_string(day) + "_" + hex16(first_sequence) + "_" + hex16(last_sequence) + "_" +
         std::to_string(level) + ".part";
}

std::optional<PartName> PartName::parse(std::string_view file_name) {
  PartName name;
  if (!take_number(file_name, '_', 10, name.day) ||
      !take_number(file_name, '_', 16, name.first_sequence) ||
      !take_number(file_name, '_', 16, name.last_sequence) ||
      !take_number(file_name, '.', 10, name.level) || file_name != "part" ||
      name.first_sequence > name.last_sequence)
    return std::nullopt;
  return name;
}

}  // namespace skald::store::catalog
