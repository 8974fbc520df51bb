#include "agent/syslog_message.h"

#include <algorithm>

#include "proto/base/clock.h"
#include "proto/wire/rfc3339.h"

namespace skald::agent {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads a message from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // The bytes before the next space (or the end), which is taken too; "-" is empty.
  std::string_view word() {
    const std::size_t space = std::min(rest_.find(' '), rest_.size());
    std::string_view out = rest_.substr(0, space);
    rest_.remove_prefix(std::min(space + 1, rest_.size()));
    return out == "-" ? std::string_view() : out;
  }
  bool number(int digits_max, int& out) {
    std::size_t count = 0;
    out = 0;
    while (count < rest_.size() && is_digit(rest_[count]) && count < std::size_t(digits_max))
      out = out * 10 + (rest_[count++] - '0');
    rest_.remove_prefix(count);
    return count > 0;
  }
  std::string_view until(std::string_view stops) {
    const std::size_t end = std::min(rest_.find_first_of(stops), rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return out;
  }
  void skip(std::size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }

 private:
  std::string_view rest_;
};

bool read_priority(Reader& in, SyslogMessage& out) {
  int priority = 0;
  if (!in.take('<') || !in.number(3, priority) || !in.take('>') || priority > 191) return false;
  out.facility = priority / 8;
  out.severity = priority % 8;
  return true;
}

// [id name="value" ...] with \" \\ \] in values.
bool read_element(Reader& in, SyslogMessage& out) {
  const std::string_view id = in.until(" ]");
  while (in.take(' ')) {
    SyslogMessage::Field field;
    field.id = id;
    field.name = in.until("=");
    if (field.name.empty() || !in.take('=') || !in.take('"')) return false;
    for (;;) {
      field.value += in.until("\"\\");
      if (in.take('"')) break;
      if (!in.take('\\') || in.rest().empty()) return false;
      const char c = in.rest()[0];
      if (c != '"' && c != '\\' && c != ']') field.value += '\\';
      field.value += c;
      in.skip(1);
    }
    out.structured.push_back(std::move(field));
  }
  return !id.empty() && in.take(']');
}

base::Status read_5424(Reader& in, SyslogMessage& out) {
  int version = 0;
  if (!in.number(3, version) || version == 0 || !in.take(' '))
    return base::invalid_argument("no version after the priority: is it RFC 3164?");
  if (const std::string_view time = in.word(); !time.empty()) {
    out.timestamp_ns = wire::parse_rfc3339(time);
    if (!out.timestamp_ns)
      return base::invalid_argument("timestamp `" + std::string(time.substr(0, 40)) + "`");
  }
  out.hostname = in.word();
  out.app_name = in.word();
  out.proc_id = in.word();
  out.msg_id = in.word();
  if (in.take('-')) {
    // no structured data
  } else if (in.rest().starts_with('[')) {
    while (in.take('['))
      if (!read_element(in, out)) return base::invalid_argument("structured data is broken");
  } else {
    return base::invalid_argument("neither structured data nor `-`");
  }
  if (!in.rest().empty() && !in.take(' '))
    return base::invalid_argument("no space after the structured data");
  out.message = in.rest();
  if (out.message.starts_with("\xEF\xBB\xBF")) out.message.remove_prefix(3);
  return {};
}

// "Oct 11 22:14:15"; nothing if it is none.
std::optional<std::int64_t> read_old_time(Reader& in, std::int64_t now_ns) {
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::string_view text = in.rest().substr(0, 16);
  if (text.size() < 15 || text[3] != ' ' || text[6] != ' ' || text[9] != ':' || text[12] != ':')
    return std::nullopt;
  const std::size_t month = kMonths.find(text.substr(0, 3));
  const auto two = [&](std::size_t at) {
    const int tens = text[at] == ' ' ? 0 : text[at] - '0';
    return tens * 10 + (text[at + 1] - '0');
  };
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  const int day = two(4), hour = two(7), minute = two(10), second = two(13);
  if (day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
      second > 60)
    return std::nullopt;
  in.skip(15);
  in.take(' ');
  const auto at = [&](std::int64_t year) {
    return (wire::days_from_civil(year, static_cast<unsigned>(month / 3 + 1),
                                  static_cast<unsigned>(day)) *
                86'400 +
            hour * 3600 + minute * 60 + second) *
           base::kNsPerSecond;
  };
  constexpr std::int64_t kDayNs = 86'400 * base::kNsPerSecond;
  std::int64_t year = 1970 + now_ns / (365 * kDayNs);
  while (at(year) - now_ns > 30 * kDayNs) --year;
  return at(year);
}

base::Status read_3164(Reader& in, SyslogMessage& out, std::int64_t now_ns) {
  out.timestamp_ns = read_old_time(in, now_ns);
  if (!out.timestamp_ns) return base::invalid_argument("no timestamp after the priority");
  out.hostname = in.word();
  // "su[231]: text", "su: text"; without a colon there is no tag.
  const std::string_view all = in.rest();
  const std::string_view tag = in.until(" :[");
  if (in.take('[')) {
    out.proc_id = in.until("]");
    in.take(']');
  }
  if (in.take(':')) {
    out.app_name = tag;
    in.take(' ');
    out.message = in.rest();
  } else {
    out.proc_id = {};
    out.message = all;
  }
  return {};
}

}  // namespace

base::Result<SyslogMessage> parse_syslog(std::string_view text, bool rfc3164, std::int64_t now_ns) {
  SyslogMessage out;
  Reader in(text);
  if (!read_priority(in, out)) return base::invalid_argument("no <priority> from 0 to 191");
  SKALD_TRY(rfc3164 ? read_3164(in, out, now_ns) : read_5424(in, out));
  return out;
}

std::string_view syslog_severity(int severity) noexcept {
  static constexpr std::string_view kNames[] = {"emergency", "alert",  "critical",      "error",
                                                "warning",   "notice", "informational", "debug"};
  return kNames[severity & 7];
}

std::string_view syslog_facility(int facility) noexcept {
  static constexpr std::string_view kNames[] = {
      "kern",   "user",   "mail",     "daemon", "auth",   "syslog",   "lpr",     "news",
      "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "security", "console", "solaris-cron",
      "local0", "local1", "local2",   "local3", "local4", "local5",   "local6",  "local7"};
  return kNames[std::clamp(facility, 0, 23)];
}

// "LENGTH SP MESSAGE". False: more bytes are needed.
bool SyslogFramer::take_counted(std::string_view text, std::size_t& at, std::string_view& out) {
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;  // some senders add one
  std::size_t digits = at;
  std::uint64_t length = 0;
  while (digits < text.size() && is_digit(text[digits]) && digits - at < 10)
    length = length * 10 + static_cast<std::uint64_t>(text[digits++] - '0');
  if (digits == text.size()) return false;
  if (digits == at || text[digits] != ' ' || length == 0) {
    broken_ = base::invalid_argument("no octet count where one is due");
    return false;
  }
  if (length > message_bytes_max_) {
    is_too_long_ = true;
    at = digits + 1;
    skip_ = length;
    return false;
  }
  if (text.size() - digits - 1 < length) return false;
  out = text.substr(digits + 1, length);
  at = digits + 1 + length;
  return true;
}

bool SyslogFramer::take_line(std::string_view text, std::size_t& at, std::string_view& out) {
  const std::size_t newline = text.find('\n', at);
  const std::size_t end = std::min(newline, text.size());
  if (end - at > message_bytes_max_) {
    is_too_long_ = true;
    skip_line_ = newline == std::string_view::npos;
    at = skip_line_ ? text.size() : newline + 1;
    return false;
  }
  if (newline == std::string_view::npos) return false;
  out = text.substr(at, newline - at);
  at = newline + 1;
  return true;
}

base::Status SyslogFramer::feed(std::string_view bytes,
                                const std::function<bool(std::string_view)>& message,
                                const std::function<void()>& too_long) {
  SKALD_TRY(broken_);
  pending_ += bytes;
  std::size_t at = 0;
  if (mode_ == Mode::kUnknown && !pending_.empty()) {
    if (pending_[0] != '<' && !is_digit(pending_[0]))
      return broken_ = base::invalid_argument("neither an octet count nor <priority> comes first");
    mode_ = pending_[0] == '<' ? Mode::kLines : Mode::kCounted;
  }
  for (;;) {
    if (skip_ > 0) {
      const std::uint64_t skipped = std::min<std::uint64_t>(skip_, pending_.size() - at);
      at += skipped;
      skip_ -= skipped;
    }
    if (skip_line_) {
      const std::size_t newline = pending_.find('\n', at);
      skip_line_ = newline == std::string::npos;
      at = skip_line_ ? pending_.size() : newline + 1;
    }
    std::string_view out;
    is_too_long_ = false;
    const bool whole =
        skip_ == 0 && !skip_line_ &&
        (mode_ == Mode::kCounted ? take_counted(pending_, at, out) : take_line(pending_, at, out));
    if (is_too_long_) {
      too_long();
      continue;
    }
    if (!whole) break;
    if (!out.empty() && !message(out)) return broken_ = base::cancelled("stopped");
  }
  pending_.erase(0, at);
  return broken_;
}

std::string_view SyslogFramer::rest() const noexcept {
  return mode_ == Mode::kLines && !skip_line_ ? std::string_view(pending_) : std::string_view();
}

}  // namespace skald::agent
