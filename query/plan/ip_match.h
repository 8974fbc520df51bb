#pragma once
// ip("10.0.0.0/8"): finds addresses in text the way Loki does, which looks for runs of address
// characters at places that look like an address.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::plan {

struct IpAddress {
  bool v4 = false;
  std::array<std::uint8_t, 16> bytes{};  // v4: the first four
  std::string zone;
  friend auto operator<=>(const IpAddress& a, const IpAddress& b) {
    if (a.v4 != b.v4) return a.v4 ? -1 <=> 0 : 1 <=> 0;
    return a.bytes <=> b.bytes;
  }
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};
std::optional<IpAddress> parse_ip(std::string_view text);  // netip.ParseAddr

class IpPattern {
 public:
  // An address, a prefix "a/n" or a range "a-b".
  static base::Result<IpPattern> parse(std::string_view text);
  bool matches(const IpAddress& address) const;
  bool found_in(std::string_view text) const;
  // Pieces of text; where it is found, there is one of them. Empty: none are known.
  std::vector<std::string> needles() const;

 private:
  IpAddress low_, high_;  // inclusive
  bool single_ = false;   // then the zone counts too
};

}  // namespace skald::query::plan
