#pragma once
// Walks the fields of one protobuf message without copying. Borrows its input.
//
//   for (ProtoReader reader(bytes); reader.next();)
//     if (reader.is(kField, kLengthDelimited)) use(reader.bytes()); // others are skipped
//   if (reader.failed()) ...

#include <cstdint>
#include <cstring>
#include <string_view>

#include "proto/wire/limits.h"
#include "proto/wire/push_fields.h"

namespace skald::wire {

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view message) noexcept
      : at_(message.data()), end_(message.data() + message.size()) {}

  // Reads the next field whole. False at the end, or when malformed (see failed()).
  bool next() noexcept {
    if (at_ == end_) return false;
    std::uint64_t tag = 0;
    if (!varint(tag) || tag > UINT32_MAX || tag >> 3 == 0) return fail();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    type_ = static_cast<unsigned>(tag & 7);
    return value(0);
  }
  bool failed() const noexcept { return failed_; }

  std::uint32_t field() const noexcept { return field_; }
  bool is(unsigned field, WireType type) const noexcept { return field_ == field && type_ == type; }
  std::string_view bytes() const noexcept { return bytes_; }  // of a kLengthDelimited field
  std::uint64_t number() const noexcept { return number_; }   // of the other types

 private:
  bool fail() noexcept {
    failed_ = true;
    at_ = end_;
    return false;
  }

  bool varint(std::uint64_t& out) noexcept {
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) {
      out = static_cast<unsigned char>(*at_++);
      return true;
    }
    std::uint64_t result = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == end_) return false;
      const auto byte = static_cast<unsigned char>(*at_++);
      if (shift == 63 && byte > 1) return false;
      result |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        out = result;
        return true;
      }
    }
    return false;
  }

  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  template <typename T>
  bool fixed() noexcept {
    if (left() < sizeof(T)) return fail();
    T raw;
    std::memcpy(&raw, at_, sizeof(T));
    number_ = raw;
    at_ += sizeof(T);
    return true;
  }

  bool value(int depth) noexcept {
    switch (type_) {
      case kVarint: return varint(number_) || fail();
      case kFixed64: return fixed<std::uint64_t>();
      case kFixed32: return fixed<std::uint32_t>();
      case kLengthDelimited: {
        std::uint64_t size = 0;
        if (!varint(size) || size > left()) return fail();
        bytes_ = std::string_view(at_, static_cast<std::size_t>(size));
        at_ += size;
        return true;
      }
      case 3: return skip_group(depth);
      default: return fail();
    }
  }

  bool skip_group(int depth) noexcept {  // deprecated, but may come as an unknown field
    const std::uint32_t group = field_;
    if (depth >= kNestingMax) return fail();
    while (at_ != end_) {
      std::uint64_t tag = 0;
      if (!varint(tag) || tag > UINT32_MAX || tag >> 3 == 0) return fail();
      type_ = static_cast<unsigned>(tag & 7);
      field_ = static_cast<std::uint32_t>(tag >> 3);
      if (type_ == 4) {
        if (field_ != group) return fail();
        type_ = 3;
        return true;
      }
      if (!value(depth + 1)) return false;
    }
    return fail();
  }

  const char* at_;
  const char* end_;
  std::uint32_t field_ = 0;
  unsigned type_ = 0;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace skald::wire
