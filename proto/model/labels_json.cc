#include "proto/model/labels_json.h"

#include "proto/base/text_code.h"

namespace skald::model {

void append_json_labels(std::string& out, const Labels& labels) {
  out.push_back('{');
  bool first = true;
  for (const auto& [name, value] : labels) {
    if (!first) out.push_back(',');
    first = false;
    base::append_json_string(out, name);
    out.push_back(':');
    base::append_json_string(out, value);
  }
  out.push_back('}');
}

}  // namespace skald::model
