#include "agent/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>

#include "proto/base/clock.h"

namespace skald::agent {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<bool> g_json{false};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += '?';
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string time_text() {
  const std::int64_t now_ns = base::Clock::system().wall_ns();
  const std::time_t seconds = now_ns / base::kNsPerSecond;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(now_ns % base::kNsPerSecond / base::kNsPerMs));
  return text;
}

}  // namespace

void set_log(std::string_view level, std::string_view format) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == level) g_level = static_cast<LogLevel>(i);
  g_json = format == "json";
}

void write_log(LogLevel level, std::string_view message) {
  if (level < g_level.load()) return;
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  const std::string name(kNames[static_cast<std::size_t>(level)]);
  const std::string line =
      g_json.load() ? "{\"ts\":\"" + time_text() + "\",\"level\":\"" + name +
                          "\",\"msg\":" + quoted(message) + "}\n"
                    : "ts=" + time_text() + " level=" + name + " msg=" + quoted(message) + "\n";
  // One write per line: threads do not mix. A full disk or closed stderr must not stop the agent.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace skald::agent
