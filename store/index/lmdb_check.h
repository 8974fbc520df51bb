#pragma once
// Proves that LMDB can walk a data file without leaving it. LMDB 0.9 has no page checksums and
// trusts what it maps: a damaged pointer is a SIGBUS or worse. So before LMDB opens the file, this
// reads every reachable page by itself: page numbers inside the file, node offsets inside the page,
// no page twice, no page both free and in use. The values have checksums of their own (INDEX.md).

#include <string_view>

#include "proto/base/status.h"

namespace skald::store::index {

// `file` is the whole data file. kCorrupt says which page is wrong.
base::Status check_lmdb_file(std::string_view file);

}  // namespace skald::store::index
