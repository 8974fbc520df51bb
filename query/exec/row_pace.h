#pragma once
// One worker's rows against the clock of its processor: what stages take for a row beyond its due
// (limits.h) is told to the query, which ends with an error once it is too much. So a query that
// was written to take long does not run until its deadline.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "proto/base/status.h"
#include "proto/gotext/template.h"
#include "query/exec/limits.h"

namespace skald::query {

class QueryContext;

class RowPace final : public gotext::ExecHost {
 public:
  explicit RowPace(QueryContext& query) : query_(query) {}

  // Before rows that the calling thread works on one after another. What it did before is not
  // theirs.
  void begin();
  // Before each of them. Not OK: as check().
  base::Status next(std::size_t line_bytes) {
    due_ns_ += kRowCpuNs + static_cast<std::int64_t>(line_bytes) * kByteCpuNs;
    if (++since_check_ < rows_per_check_) return {};
    return check();
  }
  // Not OK: the query ends, for the reason that it says.
  base::Status check() override;

  bool take(std::uint64_t bytes) noexcept override;
  void give_back(std::uint64_t bytes) noexcept override;

 private:
  QueryContext& query_;
  std::int64_t from_ns_ = 0;  // this thread's processor time at the last look
  std::int64_t due_ns_ = 0;   // of the rows since
  std::uint32_t since_check_ = 0;
  std::uint32_t rows_per_check_ = 1;
};

}  // namespace skald::query
