#pragma once
// Appends the series of recording rules to the store, so that they can be queried here too: one
// stream `{__name__="<record>"}` per rule name, one logfmt line per sample.
//
// An append waits for the disk, so a thread of its own does it, many groups' samples at a time: no
// evaluation is late because of it. The queue is bounded; the oldest samples go first.
//
// Threads: push() never blocks on the store and is safe from any thread.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "query/alert/group.h"
#include "store/store.h"

namespace skald::query::alert {

struct RecorderStats {
  std::uint64_t stored = 0, failures = 0, dropped = 0;  // samples, appends, samples
};

class Recorder {
 public:
  explicit Recorder(store::Store& store);
  ~Recorder();  // stops
  void start();
  void stop();  // what is queued is appended first
  // Stale markers and the ALERTS series are left out.
  void push(const std::string& tenant, const std::vector<RecordedSample>& samples);
  bool flush(std::int64_t timeout_ns);  // false: not everything was appended in time
  RecorderStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query::alert
