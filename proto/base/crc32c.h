#pragma once
// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4), by SSE 4.2 where
// the processor has it. crc32c("123456789") == 0xE3069283.

#include <cstdint>
#include <span>
#include <string_view>

namespace skald::base {

// Continues from `seed`, the checksum of the bytes before: crc(ab) == crc(b, crc(a)).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0) noexcept;

}  // namespace skald::base
