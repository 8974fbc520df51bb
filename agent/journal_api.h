#pragma once
// What the agent uses of libsystemd's sd-journal, loaded when a configuration has a journal target:
// the program runs on systems without it, and tests bring their own journal.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proto/base/status.h"

namespace skald::agent {

// One open journal, positioned before its first entry. Errors are kIoError: close it and open it
// again. Thread rule: one thread.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual base::Status match(const std::string& field_and_value) = 0;  // ANDed between fields
  virtual base::Status seek_cursor(const std::string& cursor) = 0;
  virtual base::Status seek_time(std::int64_t wall_ns) = 0;
  virtual base::Result<bool> next() = 0;  // false: no more entries for now
  virtual base::Result<std::int64_t> time_ns() = 0;
  virtual base::Result<std::string> cursor() = 0;
  // The next "FIELD=value" of the entry; empty: that was all. Views live until the next call.
  virtual base::Result<std::string_view> next_field() = 0;
  virtual void wait(std::int64_t wait_ns) = 0;  // until something changed, at most
};

// `directory` empty: this machine's own. kUnsupported: there is no libsystemd here.
base::Result<std::unique_ptr<Journal>> open_system_journal(const std::string& directory);
bool has_system_journal();

}  // namespace skald::agent
