#include "proto/gotext/value.h"

#include <algorithm>

#include "proto/gotext/functions.h"
#include "proto/model/labels.h"

namespace skald::gotext {
namespace {

// A map that owns its entries, sorted by key.
class OwnedMap final : public Object {
 public:
  OwnedMap(std::vector<std::pair<std::string, Value>> entries, std::string_view type_name)
      : entries_(std::move(entries)), type_name_(type_name) {
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t kept = 0;  // of equal keys the last
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (i + 1 < entries_.size() && entries_[i].first == entries_[i + 1].first) continue;
      if (kept != i) entries_[kept] = std::move(entries_[i]);
      entries_[kept++].second.set_boxed(holds_interfaces());
    }
    entries_.resize(kept);
  }
  std::string_view type_name() const override { return type_name_; }
  std::optional<Value> get(std::string_view key) const override {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), key,
                                     [](const auto& e, std::string_view k) { return e.first < k; });
    if (at == entries_.end() || at->first != key) return std::nullopt;
    return at->second;
  }
  Value missing() const override { return holds_interfaces() ? Value::nil() : Value(""); }
  std::vector<std::pair<std::string, Value>> entries() const override { return entries_; }
  std::size_t size() const override { return entries_.size(); }

 private:
  bool holds_interfaces() const { return type_name_.ends_with("interface {}"); }
  std::vector<std::pair<std::string, Value>> entries_;
  std::string_view type_name_;
};

}  // namespace

Value Object::missing() const { return Value(""); }
std::size_t Object::size() const { return entries().size(); }

Value::Value(std::string text) : kind_(Kind::kString) {
  auto owned = std::make_shared<const std::string>(std::move(text));
  text_ = *owned;
  owner_ = std::move(owned);
}

Value::Value(Time time) : kind_(Kind::kTime) {
  auto owned = std::make_shared<const Time>(std::move(time));
  bits_.p = owned.get();
  owner_ = std::move(owned);
}

Value::Value(std::complex<double> number) : kind_(Kind::kComplex) {
  auto owned = std::make_shared<const std::complex<double>>(number);
  bits_.p = owned.get();
  owner_ = std::move(owned);
}

Value Value::nil() {
  Value value;
  value.kind_ = Kind::kNil;
  return value;
}

Value Value::integer(std::int64_t i, IntType type) {
  Value value;
  value.kind_ = Kind::kInt;
  value.int_type_ = type;
  value.bits_.i = i;
  return value;
}

Value Value::borrow(std::string_view text) {
  Value value;
  value.kind_ = Kind::kString;
  value.text_ = text;
  return value;
}

Value Value::duration(std::int64_t ns) {
  Value value;
  value.kind_ = Kind::kDuration;
  value.bits_.i = ns;
  return value;
}

Value Value::list(std::vector<Value> items, std::string_view type_name) {
  Value value;
  value.kind_ = Kind::kList;
  auto owned = std::make_shared<const List>(List{std::move(items), type_name});
  value.bits_.p = owned.get();
  value.owner_ = std::move(owned);
  return value;
}

Value Value::object(std::shared_ptr<const Object> object) {
  Value value = Value::object(object.get());
  value.owner_ = std::move(object);
  return value;
}

Value Value::object(const Object* borrowed) {
  Value value;
  value.kind_ = Kind::kObject;
  value.bits_.p = borrowed;
  return value;
}

Value Value::map(std::vector<std::pair<std::string, Value>> entries, std::string_view type_name) {
  return Value::object(std::make_shared<const OwnedMap>(std::move(entries), type_name));
}

std::string_view Value::type_name() const {
  switch (kind_) {
    case Kind::kNone: return "<nil>";
    case Kind::kNil: return "interface {}";
    case Kind::kBool: return "bool";
    case Kind::kInt:
      switch (int_type_) {
        case IntType::kInt: return "int";
        case IntType::kInt64: return "int64";
        case IntType::kUint8: return "uint8";
        case IntType::kInt32: return "int32";
        case IntType::kMonth: return "time.Month";
        case IntType::kWeekday: return "time.Weekday";
      }
      return "int";
    case Kind::kFloat: return "float64";
    case Kind::kComplex: return "complex128";
    case Kind::kString: return "string";
    case Kind::kTime: return "time.Time";
    case Kind::kDuration: return "time.Duration";
    case Kind::kList: return static_cast<const List*>(bits_.p)->type_name;
    case Kind::kObject: return as_object().type_name();
  }
  return "";
}

bool Value::truth() const {
  switch (kind_) {
    case Kind::kNone:
    case Kind::kNil: return false;
    case Kind::kBool: return bits_.b;
    case Kind::kInt:
    case Kind::kDuration: return bits_.i != 0;
    case Kind::kFloat: return bits_.d != 0;
    case Kind::kComplex: return as_complex() != 0.0;
    case Kind::kString: return !text_.empty();
    case Kind::kTime: return true;
    case Kind::kList: return !as_list().empty();
    case Kind::kObject: return !as_object().is_map() || as_object().size() > 0;
  }
  return false;
}

std::optional<Value> LabelsObject::get(std::string_view key) const {
  const std::string_view value = labels_->get(key);
  if (value.empty() && !labels_->has(key)) return std::nullopt;
  return Value::borrow(value);
}

std::vector<std::pair<std::string, Value>> LabelsObject::entries() const {
  std::vector<std::pair<std::string, Value>> out;
  for (const auto& [name, value] : *labels_) out.emplace_back(name, Value::borrow(value));
  return out;
}

}  // namespace skald::gotext
