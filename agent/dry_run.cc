#include "agent/dry_run.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "proto/base/clock.h"

namespace skald::agent {

std::string format_dry_run(const EntryOut& entry) {
  std::int64_t nanos = entry.timestamp_ns % base::kNsPerSecond;
  std::time_t seconds = entry.timestamp_ns / base::kNsPerSecond;
  if (nanos < 0) {
    nanos += base::kNsPerSecond;
    --seconds;
  }
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char time[80];
  int size = std::snprintf(time, sizeof time, "%04d-%02d-%02dT%02d:%02d:%02d.%09d",
                           parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                           parts.tm_min, parts.tm_sec, static_cast<int>(nanos));
  while (time[size - 1] == '0') --size;  // as RFC3339Nano
  if (time[size - 1] == '.') --size;
  std::string out(time, static_cast<std::size_t>(size));
  out += "Z\t";
  out += entry.labels->labels().to_string();
  out += '\t';
  out += entry.line;
  out += '\n';
  return out;
}

void StderrInspector::on_stage(std::string_view stage_name, const Snapshot& before,
                               const Snapshot& after, std::string_view outcome) {
  const std::string text =
      format_stage_diff(stage_name, before, after, outcome, ::isatty(STDERR_FILENO) != 0);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace skald::agent
