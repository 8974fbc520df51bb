#include "query/exec/range_state.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>
#include <utility>

#include "query/exec/accumulators.h"
#include "query/exec/sliding_quantile.h"

namespace skald::query {
namespace {

// ---- values ----

using Point = PointsAcc::Point;

// Prometheus' rate() with Loki's idea of where the range begins. Of equal times the order is that
// of their block; of several blocks' the counter's.
double counter_rate(std::vector<Point>& points, std::int64_t range_ns, bool one_block) {
  if (points.size() < 2) return 0;
  std::stable_sort(points.begin(), points.end(), [&](const Point& a, const Point& b) {
    if (a.time != b.time || one_block) return a.time < b.time;
    return std::strong_order(a.value, b.value) < 0;
  });
  const Point &first = points.front(), &last = points.back();
  double increase = last.value - first.value, before = 0;
  for (const Point& point : points) {
    if (point.value < before) increase += before;
    before = point.value;
  }
  // Times are nanoseconds here where Prometheus has milliseconds; only ratios of them count, but
  // for the distance to the start, which Loki takes from the range in milliseconds.
  const std::int64_t range_ms = range_ns / 1'000'000;
  double to_start = static_cast<double>(range_ms) / 1000;
  const double sampled = static_cast<double>(last.time - first.time) / 1000;
  const double average = sampled / static_cast<double>(points.size() - 1);
  if (increase > 0 && first.value >= 0)
    to_start = std::min(to_start, sampled * (first.value / increase));
  double interval = sampled + (to_start < average * 1.1 ? to_start : average / 2);
  if (!(0 < average * 1.1)) interval += average / 2;
  increase *= interval / sampled;
  return increase / (static_cast<double>(range_ns) / 1e9);
}

struct Finish {
  logql::RangeOp op;
  double range_seconds;
  std::int64_t range_ns;
  double parameter;
  store::ScanMemory& memory;
  bool one_block = false;

  double operator()(CountAcc& acc) const {
    const auto count = static_cast<double>(acc.count);
    if (op == logql::RangeOp::kAbsent) return 1;
    return op == logql::RangeOp::kRate ? count / range_seconds : count;
  }
  double operator()(BytesAcc& acc) const {
    return op == logql::RangeOp::kBytesRate ? acc.sum / range_seconds : acc.sum;
  }
  double operator()(SumAcc& acc) const {
    const double sum = acc.value(one_block);
    return op == logql::RangeOp::kRate ? sum / range_seconds : sum;
  }
  double operator()(MeanAcc& acc) const { return acc.value(one_block); }
  double operator()(MaxAcc& acc) const { return acc.value; }
  double operator()(MinAcc& acc) const { return acc.value; }
  double operator()(VarianceAcc& acc) const {
    const double variance = acc.value(one_block);
    return op == logql::RangeOp::kStddev ? std::sqrt(variance) : variance;
  }
  double operator()(FirstAcc& acc) const { return acc.value; }
  double operator()(LastAcc& acc) const { return acc.value; }
  double operator()(ValuesAcc& acc) const {
    std::vector<std::span<const double>> runs;
    acc.values.append_runs(runs);
    return quantile(parameter, runs, memory);
  }
  double operator()(PointsAcc& acc) const {
    const std::uint64_t bytes = acc.points.size() * sizeof(Point);  // to sort them
    if (!memory.take(bytes)) return kNan;
    const double out = counter_rate(acc.points, range_ns, one_block);
    memory.give_back(bytes);
    return out;
  }
};

template <typename Acc>
class TypedState final : public RangeState {
 public:
  TypedState(Windows windows, Finish finish, QueryContext& context)
      : windows_(windows), finish_(finish), context_(context) {}
  ~TypedState() override { context_.release(held_ + values_held_); }

  void begin_block(std::uint64_t sequence, std::int64_t time_ns) override {
    block_sequence_ = sequence;
    block_time_ns_ = time_ns;
  }

  void add(std::uint32_t series, std::int64_t timestamp_ns, double value) override {
    const Windows::Span points = windows_.points_of(timestamp_ns);
    if (points.empty()) return;
    const std::size_t bytes = put(slot(series, points), timestamp_ns, value);
    if (bytes > 0) charge_values(bytes);
  }

  void add_many(std::uint32_t series, Windows::Span points, std::uint64_t count,
                double sum) override {
    if constexpr (std::is_same_v<Acc, CountAcc> || std::is_same_v<Acc, BytesAcc>)
      slot(series, points).add_many(count, sum);
    else
      CHECK(false);
  }

  bool needs_times() const override {
    return std::is_same_v<Acc, FirstAcc> || std::is_same_v<Acc, LastAcc> ||
           std::is_same_v<Acc, PointsAcc>;
  }

  void add_rows(const RowSamples& samples) override {
    if (samples.times.empty() && samples.slot.points.empty()) return;
    if constexpr (std::is_same_v<Acc, ValuesAcc>) {
      if (samples.times.empty()) return fill_bags(samples);
    }
    add_row_by_row(samples);
  }

  void merge_series(std::uint32_t series, RangeState& other, std::uint32_t other_series) override {
    auto& from = static_cast<TypedState&>(other);
    if (other_series >= from.series_.size()) return;
    values_held_ += std::exchange(from.values_held_, 0);  // all of them move
    auto& theirs = from.series_[other_series].slots;
    Series& own = series_at(series);
    if (own.slots.empty()) {
      const std::uint64_t bytes = slots_bytes(theirs.capacity());
      charge(bytes);
      from.release(bytes);
      own.slots = std::move(theirs);
    } else {
      for (Slot& their : theirs) slot(series, their.points).merge(std::move(their.acc));
      from.release(slots_bytes(theirs.capacity()));
    }
    theirs = std::vector<Slot>();
  }

  void came_from(std::size_t blocks) override { finish_.one_block = blocks <= 1; }

  void finish(std::uint32_t series, StepSeries& out) override {
    if (series >= series_.size()) return;
    auto& slots = series_[series].slots;
    const bool disjoint = std::all_of(slots.begin(), slots.end(), [](const Slot& slot) {
      return slot.points.first == slot.points.last;
    });
    if (disjoint) {
      // Still several slots per point when slots of different extent met at the edges.
      for (std::size_t i = 0; i < slots.size();) {
        Acc acc = std::move(slots[i].acc);
        const std::uint32_t k = slots[i].points.first;
        for (++i; i < slots.size() && slots[i].points.first == k; ++i)
          acc.merge(std::move(slots[i].acc));
        out.set(k, finish_(acc));
      }
    } else if constexpr (std::is_same_v<Acc, ValuesAcc>) {
      slide_sorted(slots, out);
    } else if constexpr (gathers()) {
      slide_gathered(slots, out);
    } else {
      slide(slots, out);
    }
    release(slots_bytes(slots.capacity()));
    slots = std::vector<Slot>();
    out.values.fit();
  }

 private:
  struct Slot {
    Windows::Span points;
    Acc acc;
    std::uint64_t order() const {
      return static_cast<std::uint64_t>(points.first) + points.last;  // grows with either
    }
  };
  struct Series {
    std::vector<Slot> slots;  // by order
    std::size_t recent = 0;
  };

  void charge(std::uint64_t bytes) {
    context_.charge(bytes);
    held_ += bytes;
  }
  bool charge_values(std::uint64_t bytes) {
    values_held_ += bytes;
    return context_.charge(bytes);
  }
  void release(std::uint64_t bytes) {
    context_.release(bytes);
    held_ -= bytes;
  }
  static std::uint64_t slots_bytes(std::size_t capacity) {
    return capacity == 0 ? 0 : capacity * sizeof(Slot) + kAllocationBytes;
  }

  Series& series_at(std::uint32_t number) {
    if (number >= series_.size()) {
      const std::size_t size = std::max<std::size_t>(number + 1, series_.size() * 2);
      charge((size - series_.size()) * sizeof(Series));
      series_.resize(size);
    }
    return series_[number];
  }

  Acc& slot(std::uint32_t number, Windows::Span points) {
    Series& series = series_at(number);
    auto& slots = series.slots;
    const std::uint64_t order = static_cast<std::uint64_t>(points.first) + points.last;
    if (series.recent < slots.size() && slots[series.recent].order() == order)
      return slots[series.recent].acc;
    auto at = slots.end();
    if (!slots.empty() && slots.back().order() >= order)
      at = std::lower_bound(slots.begin(), slots.end(), order,
                            [](const Slot& s, std::uint64_t o) { return s.order() < o; });
    if (at == slots.end() || at->order() != order) {
      if (slots.size() == slots.capacity()) {
        const auto index = at - slots.begin();
        // By half of them: most series of many have few slots.
        const std::size_t capacity = slots.capacity() + std::max<std::size_t>(1, slots.size() / 2);
        charge(slots_bytes(capacity) - slots_bytes(slots.capacity()));
        slots.reserve(capacity);
        at = slots.begin() + index;
      }
      at = slots.insert(at, Slot{points, {}});
    }
    series.recent = static_cast<std::size_t>(at - slots.begin());
    return at->acc;
  }

  // The bytes that it took.
  std::size_t put(Acc& acc, std::int64_t timestamp_ns, double value) const {
    if constexpr (std::is_same_v<Acc, FirstAcc> || std::is_same_v<Acc, LastAcc>) {
      acc.add(Found{timestamp_ns, block_sequence_, block_time_ns_}, value);
      return 0;
    } else if constexpr (gathers()) {
      return acc.add(timestamp_ns, value);
    } else {
      acc.add(timestamp_ns, value);
      return 0;
    }
  }

  void add_row_by_row(const RowSamples& samples) {
    // Slots move when others are made, so they are looked up again after each change of slot.
    struct Open {
      Acc* acc = nullptr;
      std::uint64_t epoch = 0;
    };
    Windows::Slot current = samples.slot;
    std::vector<Open> open(samples.series.size());
    std::size_t i = 0;
    std::uint64_t epoch = 1;
    samples.rows.for_each([&](std::uint32_t row) {
      const std::size_t index = i++;
      const std::int64_t t = samples.times.empty() ? 0 : samples.times[row];
      if (!samples.times.empty() && !current.holds(t)) {
        current = windows_.slot_of(t);
        ++epoch;
      }
      if (current.points.empty()) return;
      const std::uint32_t group = samples.groups.empty() ? 0 : samples.groups[index];
      if (open[group].epoch != epoch) {
        // Two groups may be one series, and a new series may move the others.
        const std::size_t known = series_.size();
        Acc* acc = &slot(samples.series[group], current.points);
        if (series_.size() != known) ++epoch;
        open[group] = {acc, epoch};
      }
      const double value = samples.values.empty() ? 1.0 : samples.values[index];
      const std::size_t bytes = put(*open[group].acc, t, value);
      if (bytes > 0 && !charge_values(bytes)) current = kNowhere;
    });
  }

  // All rows in one slot: one run per group, of its exact size.
  void fill_bags(const RowSamples& samples) {
    if (samples.values.empty()) return;
    const std::size_t groups_count = samples.series.size();
    std::vector<std::size_t> sizes(groups_count, 0);
    if (samples.groups.empty())
      sizes[0] = samples.values.size();
    else
      count_groups(samples.groups, sizes);
    std::uint64_t bytes = 0;
    for (const std::size_t size : sizes) bytes += size > 0 ? ValueBag::run_bytes(size) : 0;
    if (!charge_values(bytes)) return;
    std::vector<std::span<double>> rooms(groups_count);
    for (std::size_t g = 0; g < groups_count; ++g)
      if (sizes[g] > 0)
        rooms[g] = slot(samples.series[g], samples.slot.points).values.extend(sizes[g]);
    if (samples.groups.empty())
      std::copy(samples.values.begin(), samples.values.end(), rooms[0].begin());
    else
      fill_rooms(samples, rooms);
  }

  static void count_groups(std::span<const std::uint32_t> groups, std::vector<std::size_t>& sizes) {
    if (sizes.size() > kPassesMax) {
      for (const std::uint32_t group : groups) ++sizes[group];
      return;
    }
    std::size_t rest = groups.size();
    for (std::uint32_t g = 0; g + 1 < sizes.size(); ++g) {
      sizes[g] = static_cast<std::size_t>(std::count(groups.begin(), groups.end(), g));
      rest -= sizes[g];
    }
    sizes.back() = rest;
  }

  static void fill_rooms(const RowSamples& samples, std::vector<std::span<double>>& rooms) {
    if (rooms.size() <= kPassesMax) {
      for (std::size_t g = 0; g < rooms.size(); ++g) {
        double* out = rooms[g].data();
        double* const end = out + rooms[g].size();
        // Each value is written, and stays or is written over: no branch to guess wrong.
        for (std::size_t i = 0; out != end; ++i) {
          *out = samples.values[i];
          out += samples.groups[i] == g ? 1 : 0;
        }
      }
      return;
    }
    std::vector<double*> ends;
    for (const std::span<double> room : rooms) ends.push_back(room.data());
    for (std::size_t i = 0; i < samples.values.size(); ++i)
      *ends[samples.groups[i]]++ = samples.values[i];
  }

  // Slots enter when the window reaches their first point and leave after their last; both in the
  // order of the slots. `visit(k, first, end)` gets the slots of each window that has any.
  template <typename Enter, typename Leave, typename Visit>
  void each_window(std::vector<Slot>& slots, const Enter& on_enter, const Leave& on_leave,
                   const Visit& visit) {
    std::size_t enter = 0, leave = 0;
    const auto count = windows_.steps.count;
    for (std::uint32_t k = slots.front().points.first; k < count; ++k) {
      for (; enter < slots.size() && slots[enter].points.first <= k; ++enter) on_enter(enter);
      for (; leave < enter && slots[leave].points.last < k; ++leave) on_leave(leave, enter);
      if (leave < enter)
        visit(k, leave, enter);
      else if (enter == slots.size())
        return;
    }
  }

  // `front` holds merges of the older slots up to front_end, the newest on top.
  void slide(std::vector<Slot>& slots, StepSeries& out) {
    std::vector<Acc> front;
    Acc back{};
    each_window(
        slots, [&](std::size_t i) { back.merge(slots[i].acc); },
        [&](std::size_t leave, std::size_t enter) {
          if (front.empty()) refill(slots, leave, enter, front, back);
          front.pop_back();
        },
        [&](std::uint32_t k, std::size_t, std::size_t) {
          Acc acc{};
          if (!front.empty()) acc = front.back();
          acc.merge(back);
          out.set(k, finish_(acc));
        });
  }

  void slide_gathered(std::vector<Slot>& slots, StepSeries& out) {
    const auto nothing = [](auto...) {};
    each_window(slots, nothing, nothing, [&](std::uint32_t k, std::size_t first, std::size_t end) {
      std::uint64_t bytes = 0;
      for (std::size_t i = first; i < end; ++i) bytes += slots[i].acc.points.size();
      bytes *= 2 * sizeof(Point);  // the vector grows
      if (!context_.take(bytes)) return;
      Acc acc{};
      for (std::size_t i = first; i < end; ++i) acc.merge(slots[i].acc);
      out.set(k, finish_(acc));
      context_.give_back(bytes);
    });
  }

  void slide_sorted(std::vector<Slot>& slots, StepSeries& out) {
    SlidingQuantile window(finish_.parameter, context_);
    each_window(
        slots, [&](std::size_t i) { window.enter(slots[i].acc.values); },
        [&](std::size_t, std::size_t) { window.leave(); },
        [&](std::uint32_t k, std::size_t, std::size_t) { out.set(k, window.value()); });
  }

  // While groups are so few, a pass for each is faster than to look up each value's place.
  static constexpr std::size_t kPassesMax = 4;
  // States that keep every sample.
  static constexpr bool gathers() {
    return std::is_same_v<Acc, PointsAcc> || std::is_same_v<Acc, ValuesAcc>;
  }
  // Once the memory is used up, nothing is added any more; the query then says so.
  static constexpr Windows::Slot kNowhere{
      {}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};

  static void refill(const std::vector<Slot>& slots, std::size_t leave, std::size_t enter,
                     std::vector<Acc>& front, Acc& back) {
    Acc merged{};
    front.clear();
    for (std::size_t i = enter; i-- > leave;) {
      Acc next = slots[i].acc;
      next.merge(merged);
      merged = next;
      front.push_back(std::move(next));
    }
    back = Acc{};
  }

  Windows windows_;
  Finish finish_;
  QueryContext& context_;
  std::uint64_t block_sequence_ = 0;
  std::int64_t block_time_ns_ = 0;
  std::vector<Series> series_;
  // As charged: of slots, and of the values that accumulators gather.
  std::uint64_t held_ = 0, values_held_ = 0;
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) {  // b > 0
  return a / b - (a % b != 0 && a < 0 ? 1 : 0);
}

}  // namespace

Windows::Span Windows::points_of(std::int64_t timestamp_ns) const {
  // t_k >= s + offset, and t_k < s + offset + range.
  const std::int64_t low = timestamp_ns + offset_ns - steps.start_ns;
  const std::int64_t first = -floor_div(-low, steps.step_ns);
  const std::int64_t last = floor_div(low + range_ns - 1, steps.step_ns);
  const std::int64_t end = static_cast<std::int64_t>(steps.count) - 1;
  if (last < 0 || first > end || first > last) return {};
  return {static_cast<std::uint32_t>(std::max<std::int64_t>(first, 0)),
          static_cast<std::uint32_t>(std::min(last, end))};
}

Windows::Slot Windows::slot_of(std::int64_t timestamp_ns) const {
  Slot out;
  out.points = points_of(timestamp_ns);
  // The next edges on either side: where a window of one of the points begins or ends.
  const std::int64_t low = timestamp_ns + offset_ns - steps.start_ns;
  const std::int64_t first = -floor_div(-low, steps.step_ns);  // the point at or after the sample
  const std::int64_t last = floor_div(low + range_ns - 1, steps.step_ns);
  const std::int64_t end = static_cast<std::int64_t>(steps.count) - 1;
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max() / 4;
  std::int64_t from = -kFar, to = kFar;
  if (first - 1 >= 0) from = std::max(from, std::min(first - 1, end) * steps.step_ns + 1);
  if (first <= end) to = std::min(to, std::max<std::int64_t>(first, 0) * steps.step_ns);
  if (last >= 0) from = std::max(from, std::min(last, end) * steps.step_ns - range_ns + 1);
  if (last + 1 <= end)
    to = std::min(to, std::max<std::int64_t>(last + 1, 0) * steps.step_ns - range_ns);
  out.low_ns =
      from == -kFar ? std::numeric_limits<std::int64_t>::min() : timestamp_ns - (low - from);
  out.high_ns = to == kFar ? std::numeric_limits<std::int64_t>::max() : timestamp_ns + (to - low);
  return out;
}

std::unique_ptr<RangeState> RangeState::create(const logql::RangeAggregation& expr, Windows windows,
                                               QueryContext& context) {
  const Finish finish{expr.op, static_cast<double>(windows.range_ns) / 1e9, windows.range_ns,
                      expr.parameter.value_or(0), context};
  const auto make = [&]<typename Acc>(Acc) -> std::unique_ptr<RangeState> {
    return std::make_unique<TypedState<Acc>>(windows, finish, context);
  };
  using logql::RangeOp;
  switch (expr.op) {
    case RangeOp::kCount:
    case RangeOp::kAbsent: return make(CountAcc{});
    case RangeOp::kRate:
      if (expr.range.unwrap) return make(SumAcc{});
      return make(CountAcc{});
    case RangeOp::kBytes:
    case RangeOp::kBytesRate: return make(BytesAcc{});
    case RangeOp::kSum: return make(SumAcc{});
    case RangeOp::kAvg: return make(MeanAcc{});
    case RangeOp::kMax: return make(MaxAcc{});
    case RangeOp::kMin: return make(MinAcc{});
    case RangeOp::kStddev:
    case RangeOp::kStdvar: return make(VarianceAcc{});
    case RangeOp::kFirst: return make(FirstAcc{});
    case RangeOp::kLast: return make(LastAcc{});
    case RangeOp::kQuantile: return make(ValuesAcc{});
    case RangeOp::kRateCounter: return make(PointsAcc{});
  }
  CHECK(false);
}

}  // namespace skald::query
