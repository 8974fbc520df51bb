#include "query/exec/log_hits.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <tuple>

#include "query/exec/held_bytes.h"

namespace skald::query {
namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

std::uint32_t entry_bytes(std::size_t line, const EntryLabels& labels) {
  std::uint64_t bytes = sizeof(LogEntry) + line + kAllocationBytes;
  for (const auto* list : {&labels.stream, &labels.metadata, &labels.parsed})
    for (const LabelView& label : *list)
      bytes += sizeof(model::Labels::Pair) + label.name.size() + label.value.size();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX));
}

LogHits::LogHits(std::size_t limit, QueryContext& context)
    : limit_(limit),
      forward_(context.request.direction == model::Direction::kForward),
      context_(context),
      held_max_(std::min(context.options.answer_held_max, context.options.memory_max / 4)),
      seed_(random_seed()) {}

bool LogHits::before(const Hit& a, const Hit& b) const {
  if (a.time != b.time) return forward_ == (a.time < b.time);
  const auto rest = [this](const Hit& hit) {
    return std::tuple(hit.stream, blocks_[hit.block].sequence, hit.rank, hit.row);
  };
  return forward_ ? rest(a) < rest(b) : rest(b) < rest(a);
}

bool LogHits::wants(model::TimestampNs first_time) const {
  if (limit_ == 0) return false;
  const std::lock_guard lock(mutex_);
  if (size() < limit_) return true;
  const std::int64_t worst = held_.empty() ? places_.front().time : held_.front().hit.time;
  return forward_ ? first_time <= worst : first_time >= worst;
}

std::uint32_t LogHits::block(const store::Block& block) {
  const std::lock_guard lock(mutex_);
  context_.charge(sizeof(BlockPlace));
  blocks_.push_back({block.id(), block.sequence()});
  return static_cast<std::uint32_t>(blocks_.size() - 1);
}

std::uint32_t LogHits::number(model::Labels labels) {
  const std::lock_guard lock(mutex_);
  const auto [known, added] =
      numbers_.try_emplace(std::move(labels), static_cast<std::uint32_t>(streams_.size()));
  if (added) {
    context_.charge(held_bytes(known->first) + sizeof(model::Labels) + kMapNodeBytes);
    streams_.push_back(&known->first);
  }
  return known->second;
}

template <typename T>
void LogHits::push(std::deque<T>& best, T hit) {
  if (best.size() == limit_) {
    if (limit_ == 0 || !before(hit_of(hit), hit_of(best.front()))) return;
    std::pop_heap(best.begin(), best.end(), order());
    const std::uint64_t bytes = bytes_of(best.back());
    held_bytes_ -= bytes;
    context_.release(bytes);
    best.pop_back();
  }
  const std::uint64_t bytes = bytes_of(hit);
  held_bytes_ += bytes;
  context_.charge(bytes);
  best.push_back(std::move(hit));
  if (best.size() < limit_) return;
  if (is_heap_)
    std::push_heap(best.begin(), best.end(), order());
  else
    std::make_heap(best.begin(), best.end(), order());
  is_heap_ = true;
}

void LogHits::offer(HeldHit held) {
  const std::lock_guard lock(mutex_);
  if (!whole()) return push(places_, to_place(held));
  push(held_, std::move(held));
  if (context_.request.large == LargeAnswer::kWhole || held_bytes_ <= held_max_) return;
  for (; !held_.empty(); held_.pop_front()) {
    context_.release(held_.front().bytes);
    context_.charge(sizeof(Hit));
    places_.push_back(to_place(held_.front()));  // still a heap
  }
  held_bytes_ = places_.size() * sizeof(Hit);
  whole_.store(false, std::memory_order_relaxed);
}

void LogHits::offer(std::span<const Hit> hits, bool folded) {
  const std::lock_guard lock(mutex_);
  folded_any_ |= folded;
  for (const Hit& hit : hits) push(places_, hit);
}

Hit LogHits::to_place(const HeldHit& held) {
  Hit out = held.hit;
  EntryLabels labels;
  labels.metadata = views_of(held.entry.metadata);
  labels.parsed = views_of(held.entry.parsed);
  if (folds()) {
    labels.stream = views_of(*streams_[out.labels]);
    std::vector<LabelView> all;
    fold(labels, all);
    out.group = hash_of(all, seed_);
    folded_any_ |= !labels.metadata.empty() || !labels.parsed.empty();
  }
  out.bytes = entry_bytes(held.entry.line.size(), labels);
  return out;
}

template <typename T>
void LogHits::thin_out(std::deque<T>& hits, std::int64_t interval_ns, std::size_t limit) {
  std::sort(hits.begin(), hits.end(), order());
  std::deque<T> kept;
  for (T& one : hits) {
    if (kept.size() == limit) break;
    const std::int64_t distance =
        kept.empty() ? interval_ns : std::abs(hit_of(one).time - hit_of(kept.back()).time);
    if (distance >= interval_ns) kept.push_back(std::move(one));
  }
  hits = std::move(kept);
}

void LogHits::thin_out(std::int64_t interval_ns, std::size_t limit) {
  thin_out(held_, interval_ns, limit);
  thin_out(places_, interval_ns, limit);
}

template <typename T>
std::vector<std::uint32_t> LogHits::number_by_labels(std::deque<T>& hits) {
  std::vector<std::uint32_t> order, place(streams_.size(), UINT32_MAX);
  for (T& one : hits)
    if (std::uint32_t& at = place[hit_of(one).labels]; at == UINT32_MAX) {
      at = 0;
      order.push_back(hit_of(one).labels);
    }
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return *streams_[a] < *streams_[b]; });
  for (std::uint32_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (T& one : hits) hit_of(one).labels = place[hit_of(one).labels];
  return order;
}

Streams LogHits::take_streams() {
  std::sort(held_.begin(), held_.end(), order());
  const std::vector<std::uint32_t> numbers = number_by_labels(held_);
  std::vector<std::size_t> sizes(numbers.size());
  for (const HeldHit& held : held_) ++sizes[held.hit.labels];
  Streams out;
  out.streams.reserve(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    LogStream& stream = out.streams.emplace_back();
    stream.labels = *streams_[numbers[i]];
    stream.entries.reserve(sizes[i]);
    context_.charge(sizeof(LogStream) + held_bytes(stream.labels));
  }
  // One by one, so that there is no second list.
  for (; !held_.empty(); held_.pop_front()) {
    HeldHit& held = held_.front();
    out.streams[held.hit.labels].entries.push_back(std::move(held.entry));
    context_.release(sizeof(HeldHit));
  }
  return out;
}

EntryPlaces LogHits::take_places() {
  EntryPlaces out;
  out.folded = folds() && folded_any_;
  out.seed = random_seed();
  const std::vector<std::uint32_t> numbers = number_by_labels(places_);
  if (out.folded) {
    number_groups();
  } else {
    for (Hit& hit : places_) hit.group = hit.labels;
    std::sort(places_.begin(), places_.end(), [this](const Hit& a, const Hit& b) {
      return a.labels != b.labels ? a.labels < b.labels : before(a, b);
    });
    for (const std::uint32_t number : numbers) {
      out.streams.push_back(*streams_[number]);
      context_.charge(sizeof(model::Labels) + held_bytes(out.streams.back()));
    }
  }
  for (; !places_.empty(); places_.pop_front()) {
    const Hit& hit = places_.front();
    out.entries.push_back({hit.block, hit.row, static_cast<std::uint32_t>(hit.group), hit.bytes});
    context_.charge(sizeof(EntryPlace));
    context_.release(sizeof(Hit));
  }
  for (const BlockPlace& block : blocks_) out.blocks.push_back(block.id);
  return out;
}

// Streams come in the order in which their first entries do, when one goes through the streams by
// their own labels; entries that came from several of these go by time.
void LogHits::number_groups() {
  const auto as_found = [this](const Hit& a, const Hit& b) {
    return a.labels != b.labels ? a.labels < b.labels : before(a, b);
  };
  std::sort(places_.begin(), places_.end(), [&](const Hit& a, const Hit& b) {
    return a.group != b.group ? a.group < b.group : as_found(a, b);
  });
  std::vector<std::uint32_t> firsts;
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (i == 0 || places_[i].group != places_[i - 1].group)
      firsts.push_back(static_cast<std::uint32_t>(i));
  const std::uint64_t bytes = 3 * firsts.size() * sizeof(std::uint32_t);
  context_.charge(bytes);
  std::vector<std::uint32_t> groups(firsts.size()), number(firsts.size());
  std::iota(groups.begin(), groups.end(), 0U);
  std::sort(groups.begin(), groups.end(), [&](std::uint32_t a, std::uint32_t b) {
    return as_found(places_[firsts[a]], places_[firsts[b]]);
  });
  for (std::uint32_t i = 0; i < groups.size(); ++i) number[groups[i]] = i;
  std::size_t at = 0;
  for (std::size_t g = 0; g < firsts.size(); ++g)
    for (const std::size_t end = g + 1 < firsts.size() ? firsts[g + 1] : places_.size(); at < end;
         ++at)
      places_[at].group = number[g];
  context_.release(bytes);
  std::sort(places_.begin(), places_.end(), [&](const Hit& a, const Hit& b) {
    if (a.group != b.group) return a.group < b.group;
    if (a.time != b.time) return before(a, b);
    return as_found(a, b);
  });
}

}  // namespace skald::query
