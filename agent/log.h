#pragma once
// The agent's own log, to stderr, as logfmt or JSON lines. A logging library would cost the small
// process more memory than its buffers. Safe from any thread.

#include <string>
#include <string_view>

namespace skald::agent {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError };

// Unknown names keep the level. Process-wide, as stderr is.
void set_log(std::string_view level, std::string_view format);
void write_log(LogLevel level, std::string_view message);

inline void log_info(std::string_view message) { write_log(LogLevel::kInfo, message); }
inline void log_warn(std::string_view message) { write_log(LogLevel::kWarn, message); }
inline void log_error(std::string_view message) { write_log(LogLevel::kError, message); }

}  // namespace skald::agent
