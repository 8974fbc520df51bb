#pragma once
// Explicit little-endian coding and varints (LEB128, as protobuf). Formats are written with these,
// never by copying structs. Readers never run past their input.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace skald::base {

static_assert(std::endian::native == std::endian::little, "the formats are read with memcpy");

template <typename T>
void put_le(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

template <typename T>
T load_le(const void* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

constexpr std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

inline void put_bytes(std::string& out, std::string_view bytes) {  // varint length, then the bytes
  put_varint(out, bytes.size());
  out.append(bytes);
}

// Reads from a borrowed range. A read past the end or a malformed varint sets failed() for good
// and yields zero or empty, so that a decoder may read a whole record and test once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool failed() const noexcept { return failed_; }
  std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  bool done() const noexcept { return at_ == end_; }

  template <typename T>
  T read_le() noexcept {
    if (remaining() < sizeof(T)) return fail(), T{};
    T value = load_le<T>(at_);
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t read_varint() noexcept {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return fail(), 0;
      const auto byte = static_cast<unsigned char>(*at_++);
      if (shift == 63 && byte > 1) return fail(), 0;
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return fail(), 0;
  }

  // The view borrows from the reader's input.
  std::string_view read(std::uint64_t size) noexcept {
    if (size > remaining()) return fail(), std::string_view();
    std::string_view view(at_, static_cast<std::size_t>(size));
    at_ += size;
    return view;
  }
  std::string_view read_bytes() noexcept { return read(read_varint()); }

 private:
  void fail() noexcept {
    failed_ = true;
    at_ = end_;
  }
  const char* at_;
  const char* end_;
  bool failed_ = false;
};

}  // namespace skald::base
