#include "proto/net/http_client.h"

#include "proto/base/text_code.h"

namespace skald::net {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

base::Status bad(std::string_view url, const char* what) {
  return base::invalid_argument("URL '" + std::string(url) + "': " + what);
}

bool is_port(std::string_view port) noexcept {
  if (port.empty() || port.size() > 5) return false;
  unsigned value = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value > 0 && value <= 65535;
}

}  // namespace

std::string HttpUrl::authority() const {
  std::string text = host.find(':') != std::string::npos ? "[" + host + "]" : host;
  if (port != (tls ? "443" : "80")) text += ":" + port;
  return text;
}

base::Result<HttpUrl> parse_http_url(std::string_view url) {
  HttpUrl parts;
  std::string_view rest = url;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    parts.tls = true;
  } else {
    return bad(url, "must start with http:// or https://");
  }
  for (const char c : rest)  // would split the request head
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7F)
      return bad(url, "has a blank or control byte");
  rest = rest.substr(0, rest.find('#'));
  const std::size_t path_at = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, path_at);
  if (path_at != std::string_view::npos) parts.target = rest.substr(path_at);
  if (parts.target.empty() || parts.target[0] != '/') parts.target.insert(0, "/");
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    parts.user_info = decode(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }
  parts.port = parts.tls ? "443" : "80";
  std::string_view host = authority;
  std::size_t host_end = authority.rfind(':');
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad(url, "'[' is never closed");
    host = authority.substr(1, close - 1);
    host_end = close + 1 < authority.size() ? close + 1 : std::string_view::npos;
    if (host_end != std::string_view::npos && authority[host_end] != ':')
      return bad(url, "unexpected text after ']'");
  } else if (host_end != std::string_view::npos) {
    host = authority.substr(0, host_end);
  }
  if (host_end != std::string_view::npos) {
    parts.port = authority.substr(host_end + 1);
    if (!is_port(parts.port)) return bad(url, "the port must be 1..65535");
  }
  if (host.empty()) return bad(url, "has no host");
  parts.host = host;
  return parts;
}

std::string_view HttpResponse::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_case_name) return value;
  return {};
}

std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      out.push_back('%');
      base::append_hex(out, c, base::kUpperHexDigits);
    }
  }
  return out;
}

}  // namespace skald::net
