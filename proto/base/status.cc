#include "proto/base/status.h"

#include <cerrno>
#include <system_error>

namespace skald::base {

std::string_view code_name(Code code) noexcept {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidArgument: return "invalid_argument";
    case Code::kNotFound: return "not_found";
    case Code::kCorrupt: return "corrupt";
    case Code::kUnsupported: return "unsupported";
    case Code::kResourceExhausted: return "resource_exhausted";
    case Code::kNoSpace: return "no_space";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadlineExceeded: return "deadline_exceeded";
    case Code::kCancelled: return "cancelled";
    case Code::kConflict: return "conflict";
    case Code::kUnauthenticated: return "unauthenticated";
    case Code::kPermissionDenied: return "permission_denied";
    case Code::kIoError: return "io_error";
    case Code::kInternal: return "internal";
  }
  return "internal";
}

Status::Status(Code code, std::string message, int errno_value)
    : rep_(std::make_unique<Rep>(Rep{code, errno_value, std::move(message)})) {
  CHECK(code != Code::kOk);
}

Status::Status(const Status& other)
    : rep_(other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) rep_ = other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr;
  return *this;
}

std::string Status::to_string() const {
  if (ok()) return "ok";
  std::string text(code_name(code()));
  text += ": ";
  text += message();
  return text;
}

Status Status::with_context(std::string_view context) && {
  if (rep_) rep_->message.insert(0, std::string(context) + ": ");
  return std::move(*this);
}

Status invalid_argument(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message));
}
Status not_found(std::string message) { return Status(Code::kNotFound, std::move(message)); }
Status corrupt(std::string message) { return Status(Code::kCorrupt, std::move(message)); }
Status unsupported(std::string message) { return Status(Code::kUnsupported, std::move(message)); }
Status resource_exhausted(std::string message) {
  return Status(Code::kResourceExhausted, std::move(message));
}
Status unavailable(std::string message) { return Status(Code::kUnavailable, std::move(message)); }
Status deadline_exceeded(std::string message) {
  return Status(Code::kDeadlineExceeded, std::move(message));
}
Status cancelled(std::string message) { return Status(Code::kCancelled, std::move(message)); }
Status conflict(std::string message) { return Status(Code::kConflict, std::move(message)); }
Status internal(std::string message) { return Status(Code::kInternal, std::move(message)); }

Status from_errno(int errno_value, std::string_view what) {
  Code code = Code::kIoError;
  if (errno_value == ENOSPC || errno_value == EDQUOT) code = Code::kNoSpace;
  if (errno_value == ENOENT) code = Code::kNotFound;
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(errno_value);
  return Status(code, std::move(message), errno_value);
}

}  // namespace skald::base
