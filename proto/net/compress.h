#pragma once
// Content codings of answers: gzip and zstd, streaming.

#include <memory>
#include <string>
#include <string_view>

namespace skald::net {

enum class Coding : unsigned char { kIdentity, kGzip, kZstd };

std::string_view coding_name(Coding coding) noexcept;  // "gzip"; empty for identity
// What Accept-Encoding lets us use; quality 0 is a refusal. zstd before gzip.
Coding choose_coding(std::string_view accept_encoding) noexcept;

// One answer's compressor. Not for several threads at once.
class Compressor {
 public:
  virtual ~Compressor() = default;
  // Appends what the coding has ready to `out`; `last` ends the stream. False: out of memory.
  virtual bool append(std::string_view bytes, bool last, std::string& out) = 0;
  static std::unique_ptr<Compressor> create(Coding coding);  // null for kIdentity
};

}  // namespace skald::net
