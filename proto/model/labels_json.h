#pragma once
// Labels as a JSON object, in their order: {"a":"b","c":"d"}.

#include <string>

#include "proto/model/labels.h"

namespace skald::model {

void append_json_labels(std::string& out, const Labels& labels);

}  // namespace skald::model
