#pragma once
// Syslog on the wire: RFC 5424 messages (and RFC 3164 ones, if asked for), framed by octet counts
// or by newlines (RFC 6587). Pure functions over bytes; syslog_receiver.cc has the sockets.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::agent {

// Views borrow from the text that was parsed, `structured` owns its unescaped values. Empty: "-".
struct SyslogMessage {
  int facility = 0, severity = 0;
  std::optional<std::int64_t> timestamp_ns;
  std::string_view hostname, app_name, proc_id, msg_id, message;
  struct Field {
    std::string_view id, name;
    std::string value;
  };
  std::vector<Field> structured;
};

// kInvalidArgument says what is wrong. RFC 3164 has no year and no zone: `now_ns` gives the year
// (a time more than a month ahead was last year's), the zone is taken as UTC.
base::Result<SyslogMessage> parse_syslog(std::string_view text, bool rfc3164, std::int64_t now_ns);

std::string_view syslog_severity(int severity) noexcept;  // "informational"
std::string_view syslog_facility(int facility) noexcept;  // "local0"

// Cuts one connection's bytes into messages. The first byte says how it is framed: a digit is an
// octet count, '<' is newlines; anything else is an error, after which it takes nothing more.
class SyslogFramer {
 public:
  explicit SyslogFramer(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}
  // Calls `message` for each whole message (the view lives during the call; false: stop, drop the
  // rest) and `too_long` for each one over the limit, which is skipped.
  base::Status feed(std::string_view bytes, const std::function<bool(std::string_view)>& message,
                    const std::function<void()>& too_long);
  // The peer is done: an unterminated last line of newline framing is a message.
  std::string_view rest() const noexcept;

 private:
  enum class Mode : unsigned char { kUnknown, kCounted, kLines };
  bool take_counted(std::string_view text, std::size_t& at, std::string_view& out);
  bool take_line(std::string_view text, std::size_t& at, std::string_view& out);

  const std::size_t message_bytes_max_;
  Mode mode_ = Mode::kUnknown;
  std::string pending_;
  std::uint64_t skip_ = 0;    // bytes of a counted message over the limit
  bool skip_line_ = false;    // within a line over the limit
  bool is_too_long_ = false;  // the last take_...() began to skip one
  base::Status broken_;
};

}  // namespace skald::agent
