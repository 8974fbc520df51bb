#include "query/exec/row_pace.h"

#include "proto/base/thread_clock.h"
#include "query/exec/query_context.h"

namespace skald::query {

void RowPace::begin() {
  from_ns_ = base::thread_cpu_ns();
  due_ns_ = 0;
  since_check_ = 0;
}

base::Status RowPace::check() {
  const std::int64_t now_ns = base::thread_cpu_ns();
  const std::int64_t spent_ns = now_ns - from_ns_;
  // A processor that the machine under us takes away for long looks as if we had used it.
  if (spent_ns > due_ns_) query_.overtime(std::min(spent_ns - due_ns_, kOvertimePerLookNs));
  rows_per_check_ = spent_ns > kSlowCheckNs ? 1 : std::min(2 * rows_per_check_, kRowsPerCheck);
  from_ns_ = now_ns;
  due_ns_ = 0;
  since_check_ = 0;
  return query_.check();
}

bool RowPace::take(std::uint64_t bytes) noexcept { return query_.take(bytes); }
void RowPace::give_back(std::uint64_t bytes) noexcept { query_.give_back(bytes); }

}  // namespace skald::query
