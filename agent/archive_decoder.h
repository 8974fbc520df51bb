#pragma once
// Decodes a compressed file piece by piece, in bounded memory, several members in a row included.
// Thread rule: one thread.

#include <functional>
#include <memory>
#include <string_view>

#include "agent/parse/config.h"
#include "proto/base/status.h"

namespace skald::agent {

class ArchiveDecoder {
 public:
  // kUnsupported: bz2 without libbz2.so.1.0 on this system.
  static base::Result<std::unique_ptr<ArchiveDecoder>> create(ArchiveFormat format);
  virtual ~ArchiveDecoder() = default;
  // Hands on what the bytes give, in pieces; false from `out`: stop (kCancelled).
  // kCorrupt: damaged, or not that format.
  virtual base::Status feed(std::string_view bytes,
                            const std::function<bool(std::string_view)>& out) = 0;
  virtual bool at_end() const = 0;  // between members: the archive may end here
};

}  // namespace skald::agent
