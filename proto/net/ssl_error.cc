#include "proto/net/ssl_error.h"

#include <openssl/err.h>

namespace skald::net {

std::string ssl_error_text() {
  char text[256] = "connection ended";
  if (const unsigned long code = ::ERR_get_error(); code != 0)
    ::ERR_error_string_n(code, text, sizeof text);
  ::ERR_clear_error();
  return text;
}

}  // namespace skald::net
