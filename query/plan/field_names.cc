#include "query/plan/field_names.h"

#include <algorithm>

namespace skald::query::plan {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_label_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Escapes, white space, and bytes past ASCII (one rune is one '_', and case differs by path).
bool is_odd_key(std::string_view key) {
  return key.empty() || std::any_of(key.begin(), key.end(), [](char c) {
           return c == '\\' || static_cast<unsigned char>(c) <= ' ' ||
                  static_cast<unsigned char>(c) >= 0x7F;
         });
}

// json_label_name() into a string that is there already. False: no name.
bool make_label_name(const store::Field& field, std::string& name) {
  name.clear();
  for (const store::PathSegment& segment : field.path) {
    if (segment.index >= 0) return name.clear(), true;
    if (is_odd_key(segment.key)) return false;
    if (!name.empty()) name += '_';
    for (const char c : segment.key) name += is_label_char(c) ? c : '_';
  }
  if (is_digit(name.front())) {
    // Nested keys that begin with a digit are treated in their own way by Loki.
    if (field.path.size() > 1) return false;
    name.insert(name.begin(), '_');
  }
  return true;
}

}  // namespace

std::optional<std::string> json_label_name(const store::Field& field) {
  std::string name;
  if (!make_label_name(field, name)) return std::nullopt;
  return name;
}

FieldLookup find_json_field(const store::Shape& shape, std::string_view label) {
  FieldLookup found;
  found.kind = FieldLookup::Kind::kAbsent;
  std::string name;
  for (std::size_t i = 0; i < shape.fields.size(); ++i) {
    if (!make_label_name(shape.fields[i], name) || name.starts_with("__")) return {};
    if (name != label) continue;
    if (found.kind == FieldLookup::Kind::kField) return {};
    found = {FieldLookup::Kind::kField, i};
  }
  return found;
}

FieldLookup find_json_path(const store::Shape& shape, std::span<const std::string> path) {
  FieldLookup found;
  if (!shape.plain || std::any_of(path.begin(), path.end(), [](const std::string& segment) {
        return segment.starts_with('[');
      }))
    return found;
  found.kind = FieldLookup::Kind::kAbsent;
  for (std::size_t i = 0; i < shape.fields.size(); ++i) {
    const auto& keys = shape.fields[i].path;
    if (std::any_of(keys.begin(), keys.end(), [](const store::PathSegment& segment) {
          return segment.key.find('\\') != std::string::npos;
        }))
      return {};
    if (keys.size() < path.size() ||
        !std::equal(path.begin(), path.end(), keys.begin(),
                    [](const std::string& want, const store::PathSegment& have) {
                      return have.index < 0 && have.key == want;
                    }))
      continue;
    if (keys.size() > path.size() || found.kind == FieldLookup::Kind::kField) return {};
    found = {FieldLookup::Kind::kField, i};
  }
  return found;
}

}  // namespace skald::query::plan
