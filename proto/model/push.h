#pragma once
// What a push request means once decoded, whatever its wire form: streams of entries, and for our
// own agent the file ranges they were read from.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"

namespace skald::model {

// "The bytes [start, end) of this file of this agent are in this batch." The store keeps the
// largest `end` per (agent, file) in the same commit as the entries, which makes a re-sent batch
// recognisable: exactly once from file offset to query.
struct FileMark {
  std::string agent_id;  // stable per agent installation (kept beside its positions)
  std::string file_id;   // device, inode and fingerprint of the file; never its name
  std::uint64_t start_offset = 0;
  std::uint64_t end_offset = 0;
  friend bool operator==(const FileMark&, const FileMark&) = default;
};

struct PushStream {
  Labels labels;
  std::vector<EntryView> entries;  // any order; lines borrow from the decoded body
};

// The compressed body lines came in, for whoever keeps them: its bytes say the same in fewer.
struct PackedBody {
  enum class Coding : std::uint8_t { kSnappy = 1, kZstd = 2 };
  Coding coding = Coding::kSnappy;
  std::string_view packed;            // borrows from the request
  std::string_view plain;             // what it unpacks to
  std::shared_ptr<const void> owner;  // of `plain`, which never changes while somebody shares it
};

// Owner of the decoded body must outlive it.
struct PushBatch {
  std::vector<PushStream> streams;
  std::vector<FileMark> marks;     // empty for every client but ours
  std::optional<PackedBody> body;  // if there is one; lines may lie in its `plain` or elsewhere
};

}  // namespace skald::model
