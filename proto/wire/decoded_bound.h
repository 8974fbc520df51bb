#pragma once
// How large a body can become, from its headers alone: what to reserve before decoding it.

#include <cstddef>
#include <string_view>

namespace skald::wire {

// Never less than what the decoder writes, up to its cap. Of zstd and snappy that is what they say,
// or their number of 128 KiB blocks; gzip and deflate say nothing: the most they can unfold to.
// A body that is used as it is counts nothing.
std::size_t decoded_bound(std::string_view content_type, std::string_view content_encoding,
                          std::string_view body);

}  // namespace skald::wire
