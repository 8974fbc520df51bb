#include "proto/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace skald::base {

void check_failed(const char* file, int line, const char* expression) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
  std::abort();
}

void check_failed(const char* file, int line, const char* expression, long long left,
                  long long right) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s (%lld vs %lld)\n", file, line, expression, left,
               right);
  std::abort();
}

}  // namespace skald::base
