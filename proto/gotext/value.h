#pragma once
// The values a template works on: a small stand-in for Go's interface{} and reflect.Value.
//
// Lifetime: a Value made with borrow() and Object pointers made with a null owner do not own what
// they show; it must outlive the execution. All others own (shared, immutable).

#include <complex>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/gotext/time_layout.h"

namespace skald::gotext {

class Value;

// A map or a struct. Implement it to show labels, extracted fields or alert data to a template
// without copying them.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const { return "map[string]string"; }  // for error texts
  virtual bool is_map() const {
    return true;
  }  // false: a struct, where a missing field is
     // an error
  virtual std::optional<Value> get(std::string_view key) const = 0;
  virtual Value missing() const;  // the element type's zero: "" (or nil)
  // Sorted by key; for range, print, len. Structs: in declaration order.
  virtual std::vector<std::pair<std::string, Value>> entries() const = 0;
  virtual std::size_t size() const;  // of entries()
};

class Value {
 public:
  enum class Kind : std::uint8_t {
    kNone,  // no value at all: prints <no value>
    kNil,   // a nil interface{}
    kBool,
    kInt,      // int, int64, or another integer type (see IntType)
    kFloat,    // float64
    kComplex,  // complex128
    kString,
    kTime,      // time.Time
    kDuration,  // time.Duration
    kList,
    kObject,
  };
  // kMonth and kWeekday are time.Month and time.Weekday.
  enum class IntType : std::uint8_t { kInt, kInt64, kUint8, kInt32, kMonth, kWeekday };
  struct List {
    std::vector<Value> items;
    std::string_view type_name = "[]interface {}";  // a literal
  };

  Value() = default;                                      // kNone
  Value(bool b) : kind_(Kind::kBool) { bits_.b = b; }     // NOLINT
  Value(double d) : kind_(Kind::kFloat) { bits_.d = d; }  // NOLINT
  Value(std::string text);                                // NOLINT owning
  Value(const char* text) : Value(std::string(text)) {}   // NOLINT owning
  Value(Time time);                                       // NOLINT
  Value(std::complex<double> number);                     // NOLINT
  static Value nil();
  static Value integer(std::int64_t i, IntType type = IntType::kInt);
  static Value int64(std::int64_t i) { return integer(i, IntType::kInt64); }
  static Value borrow(std::string_view text);
  static Value duration(std::int64_t ns);
  static Value list(std::vector<Value> items, std::string_view type_name = "[]interface {}");
  static Value object(std::shared_ptr<const Object> object);
  static Value object(const Object* borrowed);
  // map[string]interface {} (or another type name) that owns its entries.
  static Value map(std::vector<std::pair<std::string, Value>> entries,
                   std::string_view type_name = "map[string]interface {}");

  Kind kind() const noexcept { return kind_; }
  bool is(Kind kind) const noexcept { return kind_ == kind; }
  bool is_none() const noexcept { return kind_ == Kind::kNone || kind_ == Kind::kNil; }
  bool as_bool() const noexcept { return bits_.b; }
  std::int64_t as_int() const noexcept { return bits_.i; }  // kInt, kDuration
  double as_float() const noexcept { return bits_.d; }
  IntType int_type() const noexcept { return int_type_; }
  std::string_view as_string() const noexcept { return text_; }  // kString
  const std::complex<double>& as_complex() const noexcept {
    return *static_cast<const std::complex<double>*>(bits_.p);
  }
  const Time& as_time() const noexcept { return *static_cast<const Time*>(bits_.p); }
  const std::vector<Value>& as_list() const noexcept {
    return static_cast<const List*>(bits_.p)->items;
  }
  const Object& as_object() const noexcept { return *static_cast<const Object*>(bits_.p); }

  std::string_view type_name() const;  // Go's: "string", "int", "map[string]interface {}", ...
  bool truth() const;                  // text/template's: not zero, not empty
  // Came out of a map of interface{}; only error texts differ ("interface {}").
  bool boxed() const noexcept { return boxed_; }
  void set_boxed(bool boxed) noexcept { boxed_ = boxed; }

 private:
  Kind kind_ = Kind::kNone;
  IntType int_type_ = IntType::kInt;
  bool boxed_ = false;
  union {
    bool b;
    std::int64_t i;
    double d;
    const void* p;
  } bits_ = {.i = 0};
  std::string_view text_;
  std::shared_ptr<const void> owner_;
};

}  // namespace skald::gotext
