#pragma once
// Random entries and random LogQL over them, for the differential test: small vocabularies, so that
// filters hit, clash, and meet every odd case that columns treat apart from lines.

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "store/store.h"

namespace skald::tests {

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(static_cast<std::uint32_t>(from.size()))];
  }

 private:
  std::mt19937 engine_;
};

struct RandomEntry {
  model::Labels stream;
  model::Entry entry;
};

// Times lie in [start_ns, start_ns + minutes * 60 s); entries are distinct by stream, time and
// line.
struct RandomLogs {
  std::size_t count = 0;
  model::TimestampNs start_ns = 0;
  std::uint32_t minutes = 60;
  std::uint32_t broken_percent = 0;  // of the JSON lines: cut in the middle
  bool one_shape = false;            // all lines are JSON of the same keys, so that blocks are long
};
std::vector<RandomEntry> random_entries(Random& random, const RandomLogs& logs);

// An empty store that keeps everything and does nothing by itself.
std::unique_ptr<store::Store> open_empty_store(const std::filesystem::path& directory);
// entries[from, to), a hundred at a time.
void append_entries(store::Store& store, const std::vector<RandomEntry>& entries, std::size_t from,
                    std::size_t to, std::string_view tenant = "fake");

std::string random_log_query(Random& random);
std::string random_metric_query(Random& random);

}  // namespace skald::tests
