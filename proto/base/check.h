#pragma once
// CHECK states what only a bug of ours could break. It is on in every build: a wrong answer costs
// more than the branch. Bytes from disk, socket, configuration or query are input: return a Status.

namespace skald::base {

// Prints `file:line: CHECK failed: expression` with the operand values, if given, and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression) noexcept;
[[noreturn]] void check_failed(const char* file, int line, const char* expression, long long left,
                               long long right) noexcept;

}  // namespace skald::base

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      ::skald::base::check_failed(__FILE__, __LINE__, #condition);                                 \
  } while (false)

// Integer comparison that prints both sides. Each operand is evaluated once.
#define CHECK_OP_(left, op, right)                                                                 \
  do {                                                                                             \
    const auto check_left_ = (left);                                                               \
    const auto check_right_ = (right);                                                             \
    if (!(check_left_ op check_right_)) [[unlikely]]                                               \
      ::skald::base::check_failed(__FILE__, __LINE__, #left " " #op " " #right,                    \
                                  static_cast<long long>(check_left_),                             \
                                  static_cast<long long>(check_right_));                           \
  } while (false)

#define CHECK_EQ(left, right) CHECK_OP_(left, ==, right)
#define CHECK_NE(left, right) CHECK_OP_(left, !=, right)
#define CHECK_LT(left, right) CHECK_OP_(left, <, right)
#define CHECK_LE(left, right) CHECK_OP_(left, <=, right)
#define CHECK_GT(left, right) CHECK_OP_(left, >, right)
#define CHECK_GE(left, right) CHECK_OP_(left, >=, right)

// Only where a CHECK was measured as too slow.
#ifdef NDEBUG
#define DCHECK(condition)                                                                          \
  do {                                                                                             \
  } while (false && (condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif
