#pragma once
// Bodies of Alertmanager's v2 API and of Prometheus remote write. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "query/alert/delivery.h"
#include "query/alert/group.h"

namespace skald::query::alert {

void append_json(std::string& out, std::string_view text);  // quoted, escaped as encoding/json does
void append_json_labels(std::string& out, const model::Labels& labels);

// One element of POST /api/v2/alerts. External labels do not replace the alert's own.
std::string encode_alert(const Alert& alert, const model::Labels& external_labels,
                         std::string_view generator_url);
std::string encode_alerts(const std::vector<DeliveryItem>& items);  // the array

// Grafana's Explore page for an expression, below the external URL.
std::string explore_url(std::string_view external_url, std::string_view datasource_uid,
                        std::string_view expr);

// One `timeseries` field of prometheus.WriteRequest; the body is their snappy block.
std::string encode_series(const RecordedSample& sample);
std::string encode_write_request(const std::vector<DeliveryItem>& items);

// The line that a recorded sample becomes in the store: `value=0.5 service="a b"` (logfmt).
std::string recorded_line(const RecordedSample& sample);

}  // namespace skald::query::alert
