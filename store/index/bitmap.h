#pragma once
// A set of stream numbers: a Roaring bitmap (Lemire et al., "Roaring Bitmaps: Implementation of an
// Optimized Software Library", 2018) behind a small value type. Not synchronised.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct roaring_bitmap_s;

namespace skald::store::index {

class Bitmap {
 public:
  Bitmap() noexcept = default;  // empty: no allocation
  Bitmap(const Bitmap& other);
  Bitmap& operator=(const Bitmap& other);
  Bitmap(Bitmap&& other) noexcept;
  Bitmap& operator=(Bitmap&& other) noexcept;
  ~Bitmap();
  static Bitmap of(const std::vector<std::uint32_t>& values);

  void add(std::uint32_t value);
  void remove(std::uint32_t value);
  bool contains(std::uint32_t value) const noexcept;
  bool empty() const noexcept;
  std::uint64_t size() const noexcept;
  void unite(const Bitmap& other);
  void intersect(const Bitmap& other);
  void subtract(const Bitmap& other);
  bool intersects(const Bitmap& other) const noexcept;
  bool contains_all(const Bitmap& other) const noexcept;
  void shrink();                              // run encoding, spare memory returned
  std::vector<std::uint32_t> values() const;  // ascending

  // Roaring's portable format. decode() refuses what is not whole.
  std::string encode() const;
  static std::optional<Bitmap> decode(std::string_view bytes);
  std::size_t memory_bytes() const noexcept;

 private:
  roaring_bitmap_s& make();
  roaring_bitmap_s* rep_ = nullptr;
};

}  // namespace skald::store::index
