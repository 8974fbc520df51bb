#pragma once
// What OpenSSL says of the call that failed last on this thread; its error queue is empty after.

#include <string>

namespace skald::net {

std::string ssl_error_text();

}  // namespace skald::net
