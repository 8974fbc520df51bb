#pragma once
// Status and Result<T>: how every fallible call of Skald reports. Nothing here throws.
//
// A code says what the *caller does next*, not what went wrong; the message says what, where and
// what a person can do. HTTP status, retry policy and metric label derive from the code alone.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "proto/base/check.h"

namespace skald::base {

enum class Code : unsigned char {
  kOk = 0,
  kInvalidArgument,    // the input is wrong and will stay wrong: do not retry, tell the sender
  kNotFound,           // the named thing does not exist
  kCorrupt,            // stored or received bytes contradict their format: quarantine, go on
  kUnsupported,        // well-formed, but of a version or feature this build does not serve
  kResourceExhausted,  // a limit of ours was hit (rate, memory, entries): back off, then retry
  kNoSpace,            // the disk is full: retry after space was freed
  kUnavailable,        // not now: retry the same call later
  kDeadlineExceeded,   // out of time
  kCancelled,          // the caller went away or asked to stop
  kConflict,           // the caller's idea of the state is old: refresh it, then decide
  kUnauthenticated,    // no or wrong credentials
  kPermissionDenied,   // known, but not allowed
  kIoError,            // the operating system refused; errno_value() says how
  kInternal,           // none of the above; a bug if it is ever seen
};

std::string_view code_name(Code code) noexcept;  // "invalid_argument", ...

class [[nodiscard]] Status {
 public:
  Status() noexcept = default;  // OK: one null pointer
  Status(Code code, std::string message, int errno_value = 0);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  bool ok() const noexcept { return rep_ == nullptr; }
  Code code() const noexcept { return rep_ ? rep_->code : Code::kOk; }
  // Valid as long as this Status. Empty when OK.
  std::string_view message() const noexcept {
    return rep_ ? std::string_view(rep_->message) : std::string_view();
  }
  int errno_value() const noexcept { return rep_ ? rep_->errno_value : 0; }
  std::string to_string() const;  // "corrupt: part 7: footer checksum"

  // Puts "context: " in front of the message. Once per layer: file, offset, stream.
  Status with_context(std::string_view context) &&;

 private:
  struct Rep {
    Code code;
    int errno_value;
    std::string message;
  };
  std::unique_ptr<Rep> rep_;
};

Status invalid_argument(std::string message);
Status not_found(std::string message);
Status corrupt(std::string message);
Status unsupported(std::string message);
Status resource_exhausted(std::string message);
Status unavailable(std::string message);
Status deadline_exceeded(std::string message);
Status cancelled(std::string message);
Status conflict(std::string message);
Status internal(std::string message);
// ENOSPC and EDQUOT become kNoSpace, ENOENT kNotFound, everything else kIoError.
Status from_errno(int errno_value, std::string_view what);

// A value or a Status that is not OK. Spelled like std::expected so that it can be swapped later.
// Default-constructed it holds an internal error: Asio needs that for its failure path.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result() : status_(Code::kInternal, "result was never set") {}
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok()); }  // NOLINT
  Result(T value) : value_(std::move(value)) {}                                 // NOLINT

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Status& status() const& noexcept { return status_; }
  Status status() && noexcept { return std::move(status_); }
  T& value() & {
    CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    CHECK(ok());
    return *value_;
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

inline Status to_status(Status status) { return status; }
template <typename T>
Status to_status(Result<T>&& result) {
  return std::move(result).status();
}

}  // namespace skald::base

#define SKALD_CONCAT_INNER_(a, b) a##b
#define SKALD_CONCAT_(a, b) SKALD_CONCAT_INNER_(a, b)

// SKALD_TRY(call());            returns the Status (or the Result's) of `call` if it is not OK.
// SKALD_TRY_ASSIGN(auto x, f()) the same, else binds the value. The CO_ forms are for coroutines.
#define SKALD_TRY(expression)                                                                      \
  do {                                                                                             \
    auto try_result_ = (expression);                                                               \
    if (!try_result_.ok()) [[unlikely]]                                                            \
      return ::skald::base::to_status(std::move(try_result_));                                     \
  } while (false)
#define SKALD_TRY_ASSIGN_(temporary, declaration, expression)                                      \
  auto temporary = (expression);                                                                   \
  if (!temporary.ok()) [[unlikely]]                                                                \
    return std::move(temporary).status();                                                          \
  declaration = std::move(temporary).value()
#define SKALD_TRY_ASSIGN(declaration, expression)                                                  \
  SKALD_TRY_ASSIGN_(SKALD_CONCAT_(try_assign_, __LINE__), declaration, expression)
#define SKALD_CO_TRY(expression)                                                                   \
  do {                                                                                             \
    auto try_result_ = (expression);                                                               \
    if (!try_result_.ok()) [[unlikely]]                                                            \
      co_return ::skald::base::to_status(std::move(try_result_));                                  \
  } while (false)
#define SKALD_CO_TRY_ASSIGN_(temporary, declaration, expression)                                   \
  auto temporary = (expression);                                                                   \
  if (!temporary.ok()) [[unlikely]]                                                                \
    co_return std::move(temporary).status();                                                       \
  declaration = std::move(temporary).value()
#define SKALD_CO_TRY_ASSIGN(declaration, expression)                                               \
  SKALD_CO_TRY_ASSIGN_(SKALD_CONCAT_(try_assign_, __LINE__), declaration, expression)
