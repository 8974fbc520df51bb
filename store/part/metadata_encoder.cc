// Structured metadata of a block as one template column: a template is a list of names, its
// variables are the values.

#include <map>

#include "store/part/column_format.h"
#include "store/part/group_encoder.h"
#include "store/part/intpack.h"
#include "store/part/part_format.h"

namespace skald::store::part {
namespace {

using Names = std::vector<std::string_view>;

bool plain_names(const model::Labels& labels) {
  if (labels.size() > kTemplateVariablesMax) return false;
  for (const auto& [name, value] : labels)
    if (name.empty() || name == kPackedMetadata) return false;
  return true;
}

}  // namespace

EncodedColumn encode_metadata(EncodeContext& context, std::span<const model::Labels* const> rows,
                              std::span<const model::TimestampNs> times) {
  static const model::Labels kNone;
  std::map<Names, std::uint32_t> lists;
  std::vector<Names> templates{{kPackedMetadata}};
  std::vector<std::uint64_t> ids(rows.size());
  std::vector<std::vector<std::vector<std::string_view>>> values(1);
  values[0].resize(1);
  std::vector<std::vector<model::TimestampNs>> template_times(1);
  std::vector<std::unique_ptr<std::string>> packed;
  Names names;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const model::Labels& labels = rows[row] != nullptr ? *rows[row] : kNone;
    names.clear();
    for (const auto& [name, value] : labels) names.push_back(name);
    std::uint32_t id = 0;
    if (plain_names(labels)) {
      auto found = lists.find(names);
      if (found == lists.end() && templates.size() < kTemplatesMax) {
        found = lists.emplace(names, static_cast<std::uint32_t>(templates.size())).first;
        templates.push_back(names);
        values.emplace_back(names.size());
        template_times.emplace_back();
      }
      if (found != lists.end()) id = found->second;
    }
    ids[row] = id;
    template_times[id].push_back(times[row]);
    if (id == 0) {
      packed.push_back(std::make_unique<std::string>());
      for (const auto& [name, value] : labels) {
        base::put_bytes(*packed.back(), name);
        base::put_bytes(*packed.back(), value);
      }
      values[0][0].push_back(*packed.back());
    } else {
      std::size_t at = 0;
      for (const auto& [name, value] : labels) values[id][at++].push_back(value);
    }
  }
  EncodedColumn encoded;
  encoded.spec.push_back(static_cast<char>(Encoding::kTemplate));
  base::put_varint(encoded.spec, templates.size());
  for (std::size_t t = 0; t < templates.size(); ++t) {
    base::put_varint(encoded.spec, templates[t].size());
    for (const std::string_view name : templates[t]) base::put_bytes(encoded.spec, name);
    base::put_bytes(encoded.spec, {});
    base::put_varint(encoded.spec, template_times[t].size());
  }
  encode_ints(ids, IntsHint::kPlain, context.pages, encoded.spec);
  for (std::size_t t = 0; t < templates.size(); ++t)
    for (const auto& column : values[t])
      encoded.children.push_back(
          encode_column(context, {.values = column, .times = template_times[t], .depth = 1}));
  return encoded;
}

}  // namespace skald::store::part
