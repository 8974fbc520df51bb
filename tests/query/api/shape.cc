#include "tests/query/api/shape.h"

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace skald::query::api::testing {

namespace dom = simdjson::dom;

namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789-") == std::string_view::npos;
}

std::string hole_differs(std::string_view hole, dom::element got, const std::string& where) {
  std::string_view text;
  const bool is_text = got.get_string().get(text) == simdjson::SUCCESS;
  bool fine = false;
  if (hole == "$any") fine = true;
  if (hole == "$string") fine = is_text;
  if (hole == "$int") fine = got.is_int64() || got.is_uint64();
  if (hole == "$number") fine = got.is_number();
  if (hole == "$ns") fine = is_text && all_digits(text);
  if (hole == "$numeric")
    fine =
        is_text && (text == "NaN" || !std::isnan(std::strtod(std::string(text).c_str(), nullptr)));
  if (hole == "$labels") {
    dom::object object;
    fine = got.get_object().get(object) == simdjson::SUCCESS;
    if (fine)
      for (const auto member : object) fine &= member.value.is_string();
  }
  return fine ? "" : where + ": not " + std::string(hole) + ": " + simdjson::to_string(got);
}

std::string array_differs(dom::array shape, dom::element got, const std::string& where) {
  dom::array items;
  if (got.get_array().get(items) != simdjson::SUCCESS) return where + ": not an array";
  std::string_view plus;
  if (shape.size() == 2 && shape.at(0).get_string().get(plus) == simdjson::SUCCESS && plus == "+") {
    if (items.size() == 0) return where + ": empty";
    dom::element each;
    if (shape.at(1).get(each) != simdjson::SUCCESS) return where + ": bad shape";
    for (const dom::element item : items)
      if (std::string d = differs(each, item, where + "[]"); !d.empty()) return d;
    return "";
  }
  if (shape.size() != items.size()) return where + ": " + simdjson::to_string(got);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dom::element want, have;
    if (shape.at(i).get(want) != simdjson::SUCCESS || items.at(i).get(have) != simdjson::SUCCESS)
      return where + ": bad index";
    if (std::string d = differs(want, have, where + "[" + std::to_string(i) + "]"); !d.empty())
      return d;
  }
  return "";
}

}  // namespace

std::string differs(dom::element shape, dom::element got, const std::string& where) {
  std::string_view hole;
  if (shape.get_string().get(hole) == simdjson::SUCCESS && !hole.empty() && hole[0] == '$')
    return hole_differs(hole, got, where);
  dom::object object;
  if (shape.get_object().get(object) == simdjson::SUCCESS) {
    if (!got.is_object()) return where + ": not an object";
    for (const auto member : object) {
      dom::element inner;
      const std::string at = where + "." + std::string(member.key);
      if (got[member.key].get(inner) != simdjson::SUCCESS) return at + ": missing";
      if (std::string d = differs(member.value, inner, at); !d.empty()) return d;
    }
    return "";
  }
  dom::array array;
  if (shape.get_array().get(array) == simdjson::SUCCESS) return array_differs(array, got, where);
  const std::string want = simdjson::to_string(shape);
  const std::string have = simdjson::to_string(got);
  return want == have ? "" : where + ": " + have + ", want " + want;
}

}  // namespace skald::query::api::testing
