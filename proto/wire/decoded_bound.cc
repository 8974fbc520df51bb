#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_decompressBound
#include "proto/wire/decoded_bound.h"

#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "proto/wire/limits.h"

namespace skald::wire {
namespace {

constexpr std::size_t kDeflateRatioMax = 1032;

std::size_t unpacked_bound(const std::string& coding, std::string_view body) {
  if (coding == "zstd") {
    const unsigned long long bound = ZSTD_decompressBound(body.data(), body.size());
    // Damaged, or another format: it is refused as soon as it is looked at.
    if (bound == ZSTD_CONTENTSIZE_ERROR) return kDecodedBytesMax;
    return bound > kDecodedBytesMax ? kDecodedBytesMax : static_cast<std::size_t>(bound);
  }
  if (coding == "gzip" || coding == "x-gzip" || coding == "deflate")
    return std::min(kDecodedBytesMax, body.size() * kDeflateRatioMax);
  return 0;
}

}  // namespace

std::size_t decoded_bound(std::string_view content_type, std::string_view content_encoding,
                          std::string_view body) {
  std::string coding(content_encoding), type(content_type);
  for (std::string* text : {&coding, &type})
    for (char& c : *text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::erase(coding, ' ');
  const bool json = type.find("application/json") != std::string::npos;
  const std::size_t unpacked = unpacked_bound(coding, body);
  if (json) return std::min(unpacked, kUnpackedJsonBytesMax);
  if (unpacked > 0) return unpacked;
  std::size_t size = 0;
  if (!snappy::GetUncompressedLength(body.data(), body.size(), &size)) return 0;
  return std::min(size, kDecodedBytesMax);
}

}  // namespace skald::wire
