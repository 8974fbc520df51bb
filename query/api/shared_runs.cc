#include "query/api/shared_runs.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace skald::query::api {
namespace {

using Clock = std::chrono::steady_clock;

std::string key_of(const QueryRequest& request, const std::string& normal) {
  std::string key = request.tenant;
  for (const std::int64_t part :
       {request.start_ns, request.end_ns, request.step_ns, request.interval_ns, request.timeout_ns,
        std::int64_t{request.limit}, std::int64_t{request.instant},
        static_cast<std::int64_t>(request.direction), static_cast<std::int64_t>(request.large)})
    key.append("\n").append(std::to_string(part));
  return key.append("\n").append(normal);
}

// Whether everybody who asks this gets this error.
bool of_the_query(const base::Status& status) {
  return status.code() == base::Code::kInvalidArgument ||
         status.code() == base::Code::kUnsupported ||
         status.code() == base::Code::kResourceExhausted;
}

}  // namespace

struct SharedRuns::Flight {
  std::uint64_t generation = 0;
  std::uint32_t aboard = 0;              // who waits or runs
  std::atomic<std::uint32_t> others{0};  // of them, without who runs
  bool led = false;
  std::optional<Answer> answer;
};

// The run under way, if it sees all that a run of one's own would; else the next.
std::shared_ptr<SharedRuns::Flight> SharedRuns::board(const std::string& key) {
  Lane& lane = lanes_[key];
  const bool fresh =
      lane.running == nullptr || !lane.running->led || lane.running->generation == generation_;
  std::shared_ptr<Flight>& flight = fresh ? lane.running : lane.next;
  if (flight == nullptr) flight = std::make_shared<Flight>();
  ++flight->aboard;
  flight->others = flight->aboard - 1;
  return flight;
}

void SharedRuns::leave(Flight& flight, const std::string& key) {
  --flight.aboard;
  flight.others = flight.aboard == 0 ? 0 : flight.aboard - 1;
  if (flight.aboard > 0) return;
  const auto at = lanes_.find(key);
  if (at == lanes_.end()) return;
  if (at->second.next.get() == &flight) at->second.next = nullptr;
  if (at->second.running.get() == &flight) land(flight, key);
}

// The next one may begin.
void SharedRuns::land(const Flight& flight, const std::string& key) {
  const auto at = lanes_.find(key);
  if (at == lanes_.end() || at->second.running.get() != &flight) return;
  at->second.running = std::exchange(at->second.next, nullptr);
  if (at->second.running == nullptr) lanes_.erase(at);
  changed_.notify_all();
}

// Counted until the last who sends it is done.
std::shared_ptr<const QueryResult> SharedRuns::held(QueryResult result) const {
  answers_bytes_->fetch_add(result.memory_bytes);
  const auto let_go = [all = answers_bytes_](const QueryResult* answer) {
    const std::uint64_t bytes = answer->memory_bytes;
    const bool large = bytes > kLargeBytes || std::holds_alternative<LogPiecesPtr>(answer->data);
    delete answer;
    all->fetch_sub(bytes);
    if (large) ::malloc_trim(0);
  };
  return {new QueryResult(std::move(result)), let_go};
}

SharedRuns::Answer SharedRuns::lead(Flight& flight, const std::string& key,
                                    const QueryRequest& request, const Run& run,
                                    std::unique_lock<std::mutex>& lock) {
  flight.led = true;
  flight.generation = generation_;
  QueryRequest own = request;
  own.others = &flight.others;
  lock.unlock();
  auto result = run(own);
  Answer answer =
      result.ok() ? Answer(held(std::move(*result))) : Answer(std::move(result).status());
  lock.lock();
  flight.led = false;
  if (answer.ok() || of_the_query(answer.status())) {
    flight.answer = answer;
    land(flight, key);
  }
  changed_.notify_all();  // without an answer another leads
  return answer;
}

std::uint32_t SharedRuns::waiting() const {
  const std::lock_guard lock(mutex_);
  std::uint32_t out = 0;
  for (const auto& [key, lane] : lanes_)
    for (const auto& flight : {lane.running, lane.next})
      if (flight != nullptr) out += flight->aboard - (flight->led ? 1 : 0);
  return out;
}

SharedRuns::Answer SharedRuns::run(const QueryRequest& request, const std::string& normal,
                                   const Run& run, bool& shared) {
  constexpr std::chrono::milliseconds kLook(50);
  const auto begin = Clock::now();
  const auto waited_ns = [&] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  };
  shared = false;
  const std::string key = key_of(request, normal);
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Flight> flight = board(key);
  std::optional<Answer> answer;
  while (!answer) {
    const auto lane = lanes_.find(key);
    const bool mine = lane != lanes_.end() && lane->second.running == flight && !flight->led;
    if (flight->answer) {
      answer = flight->answer;
      shared = true;
      shared_.fetch_add(1, std::memory_order_relaxed);
    } else if (request.timeout_ns > 0 && waited_ns() >= request.timeout_ns) {
      answer = Answer(base::deadline_exceeded("the query waited too long for an equal one"));
    } else if (request.abandoned()) {
      answer = Answer(base::cancelled("the query was cancelled"));
    } else if (mine) {
      QueryRequest rest = request;
      if (rest.timeout_ns > 0)
        rest.timeout_ns = std::max<std::int64_t>(rest.timeout_ns - waited_ns(), 1);
      answer = lead(*flight, key, rest, run, lock);
    } else {
      changed_.wait_for(lock, kLook);
    }
  }
  leave(*flight, key);
  return std::move(*answer);
}

}  // namespace skald::query::api
