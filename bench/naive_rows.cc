// The differential tests' naive engine over lines of a corpus, to stand beside the columns' figures
// (e2e_bench.py runs it): every line through every stage, one core, everything in memory.
//
//   naive_rows LINES_MAX FILE...      queries on standard input, one per line
//
// The lines are of the stream {job="ngx-api"} and of the last seconds before the time that the
// queries are asked at, so ranges hold them all. Prints how many lines there are, then for each
// query its CPU seconds.

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "tests/query/differential/naive_engine.h"

namespace {

constexpr skald::model::TimestampNs kAskedAt = 1'763'600'000'000'000'000;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::vector<skald::tests::RandomEntry> read_entries(std::size_t lines_max, int files,
                                                    char** names) {
  std::vector<skald::tests::RandomEntry> out;
  for (int i = 0; i < files; ++i) {
    std::ifstream file(names[i]);
    const std::size_t until =
        lines_max * static_cast<std::size_t>(i + 1) / static_cast<std::size_t>(files);
    for (std::string line; out.size() < until && std::getline(file, line);) {
      skald::tests::RandomEntry entry;
      entry.stream = {{"job", "ngx-api"}};
      entry.entry.timestamp_ns = kAskedAt - 1 - static_cast<std::int64_t>(out.size());
      entry.entry.line = std::move(line);
      out.push_back(std::move(entry));
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t lines_max = argc > 2 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (lines_max == 0) {
    std::cerr << "usage: naive_rows LINES_MAX FILE...\n";
    return 2;
  }
  const auto entries = read_entries(lines_max, argc - 2, argv + 2);
  std::cout << entries.size() << std::endl;
  for (std::string query; std::getline(std::cin, query);) {
    skald::query::QueryRequest request;
    request.text = query;
    request.instant = true;
    request.end_ns = kAskedAt;
    const double before = cpu_seconds();
    const auto result = skald::tests::run_naively(entries, request);
    const double seconds = cpu_seconds() - before;
    if (!result || !result->ok()) {
      std::cerr << query << ": "
                << (result ? result->status().to_string() : "not known to the naive engine")
                << "\n";
      return 1;
    }
    std::cout << seconds << std::endl;
  }
}
