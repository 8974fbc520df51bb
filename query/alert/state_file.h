#pragma once
// The state of alerts on disk, so that `for` and firing alerts survive a restart. Format: STATE.md.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "query/alert/group.h"

namespace skald::query::alert {

struct SavedState {
  std::int64_t saved_at_ns = 0;
  std::vector<SavedAlerts> alerts;
};

std::string encode_state(const SavedState& state);
// kUnsupported: a later version; kCorrupt: anything else that STATE.md does not allow.
base::Result<SavedState> decode_state(std::string_view bytes);

}  // namespace skald::query::alert
