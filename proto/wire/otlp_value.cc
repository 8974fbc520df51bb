#include "proto/wire/otlp_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "proto/base/text_code.h"

namespace skald::wire {
void OtlpValue::append_json(std::string& out) const {
  switch (kind) {
    case Kind::kEmpty: out.append("null"); return;
    case Kind::kString: base::append_json_string(out, text); return;
    case Kind::kToken: out.append(text); return;
    case Kind::kArray:
      out.push_back('[');
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out.push_back(',');
        items[i].second.append_json(out);
      }
      out.push_back(']');
      return;
    case Kind::kMap: break;
  }
  // encoding/json sorts the keys of maps.
  std::vector<const OtlpItem*> sorted;
  for (const auto& item : items) sorted.push_back(&item);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return a->first < b->first; });
  out.push_back('{');
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0) out.push_back(',');
    base::append_json_string(out, sorted[i]->first);
    out.push_back(':');
    sorted[i]->second.append_json(out);
  }
  out.push_back('}');
}

std::string OtlpValue::as_text() const {
  if (kind == Kind::kEmpty) return {};
  if (kind == Kind::kString || kind == Kind::kToken) return text;
  std::string out;
  append_json(out);
  return out;
}

base::Status OtlpValue::flatten(std::string name, OtlpPairs& out) const {
  if (kind != Kind::kMap) {
    if (out.size() >= kMetadataPairsMax)
      return base::invalid_argument("more than " + std::to_string(kMetadataPairsMax) +
                                    " attributes in one place");
    out.emplace_back(std::move(name), as_text());
    return {};
  }
  for (const auto& [key, value] : items) SKALD_TRY(value.flatten(name + "_" + otlp_name(key), out));
  return {};
}

std::string otlp_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[400];
  const double magnitude = std::abs(value);
  // As encoding/json: exponents only for very small and very large numbers.
  const bool plain = magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e21);
  const auto end =
      plain ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed)
            : std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  return std::string(text, end.ptr);
}

std::string otlp_hex(std::string_view bytes) {
  if (bytes.find_first_not_of('\0') == std::string_view::npos) return {};  // all zero: none
  return base::hex_encode(bytes.substr(0, 64));
}

}  // namespace skald::wire
