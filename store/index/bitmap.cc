#include "store/index/bitmap.h"

#include <roaring/roaring.h>

#include <new>
#include <utility>

#include "proto/base/check.h"

namespace skald::store::index {

Bitmap::Bitmap(const Bitmap& other)
    : rep_(other.rep_ == nullptr ? nullptr : roaring_bitmap_copy(other.rep_)) {}

Bitmap& Bitmap::operator=(const Bitmap& other) {
  if (this != &other) *this = Bitmap(other);
  return *this;
}

Bitmap::Bitmap(Bitmap&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}

Bitmap& Bitmap::operator=(Bitmap&& other) noexcept {
  std::swap(rep_, other.rep_);
  return *this;
}

Bitmap::~Bitmap() {
  if (rep_ != nullptr) roaring_bitmap_free(rep_);
}

roaring_bitmap_s& Bitmap::make() {
  if (rep_ == nullptr) rep_ = roaring_bitmap_create();
  CHECK(rep_ != nullptr);
  return *rep_;
}

Bitmap Bitmap::of(const std::vector<std::uint32_t>& values) {
  Bitmap out;
  if (!values.empty()) roaring_bitmap_add_many(&out.make(), values.size(), values.data());
  return out;
}

void Bitmap::add(std::uint32_t value) { roaring_bitmap_add(&make(), value); }

void Bitmap::remove(std::uint32_t value) {
  if (rep_ != nullptr) roaring_bitmap_remove(rep_, value);
}

bool Bitmap::contains(std::uint32_t value) const noexcept {
  return rep_ != nullptr && roaring_bitmap_contains(rep_, value);
}

bool Bitmap::empty() const noexcept { return rep_ == nullptr || roaring_bitmap_is_empty(rep_); }

std::uint64_t Bitmap::size() const noexcept {
  return rep_ == nullptr ? 0 : roaring_bitmap_get_cardinality(rep_);
}

void Bitmap::unite(const Bitmap& other) {
  if (other.rep_ != nullptr) roaring_bitmap_or_inplace(&make(), other.rep_);
}

void Bitmap::intersect(const Bitmap& other) {
  if (rep_ == nullptr) return;
  if (other.rep_ == nullptr)
    *this = Bitmap();
  else
    roaring_bitmap_and_inplace(rep_, other.rep_);
}

void Bitmap::subtract(const Bitmap& other) {
  if (rep_ != nullptr && other.rep_ != nullptr) roaring_bitmap_andnot_inplace(rep_, other.rep_);
}

bool Bitmap::intersects(const Bitmap& other) const noexcept {
  return rep_ != nullptr && other.rep_ != nullptr && roaring_bitmap_intersect(rep_, other.rep_);
}

bool Bitmap::contains_all(const Bitmap& other) const noexcept {
  if (other.empty()) return true;
  return rep_ != nullptr && roaring_bitmap_is_subset(other.rep_, rep_);
}

void Bitmap::shrink() {
  if (rep_ == nullptr) return;
  roaring_bitmap_run_optimize(rep_);
  roaring_bitmap_shrink_to_fit(rep_);
}

std::vector<std::uint32_t> Bitmap::values() const {
  std::vector<std::uint32_t> out(size());
  if (!out.empty()) roaring_bitmap_to_uint32_array(rep_, out.data());
  return out;
}

std::string Bitmap::encode() const {
  if (rep_ == nullptr) return {};
  std::string out(roaring_bitmap_portable_size_in_bytes(rep_), '\0');
  roaring_bitmap_portable_serialize(rep_, out.data());
  return out;
}

std::optional<Bitmap> Bitmap::decode(std::string_view bytes) {
  Bitmap out;
  if (bytes.empty()) return out;
  if (roaring_bitmap_portable_deserialize_size(bytes.data(), bytes.size()) != bytes.size())
    return std::nullopt;
  out.rep_ = roaring_bitmap_portable_deserialize_safe(bytes.data(), bytes.size());
  if (out.rep_ == nullptr) return std::nullopt;
  return out;
}

std::size_t Bitmap::memory_bytes() const noexcept {
  return rep_ == nullptr ? 0 : roaring_bitmap_size_in_bytes(rep_) + sizeof(roaring_bitmap_t);
}

}  // namespace skald::store::index
