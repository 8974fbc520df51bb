#pragma once
// The three function tables: LogQL's line_format and label_format, the agent's template stage, and
// Prometheus' alert templates. Each lives as long as the process. Functions are pure, but for
// `now` and what a context gives them.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/gotext/template.h"
#include "proto/model/labels.h"

namespace skald::gotext {

// ExecOptions::context of line_format and label_format templates; parse them under the name "line"
// or "label" and with MissingKey::kZero.
struct LineContext {
  std::string_view line;          // __line__; as the pipeline has it at this stage
  std::int64_t timestamp_ns = 0;  // __timestamp__
  std::int64_t now_ns = 0;        // `now`; 0: the clock's
};
const FunctionTable& logql_functions();

// Promtail's template and replace stages: sprig's functions that neither touch the host nor make
// keys, and the stage's own. Parse under the name "pipeline_template". No context.
const FunctionTable& agent_functions();

// ExecOptions::context of alert templates.
struct AlertContext {
  struct Sample {
    model::Labels labels;
    double value = 0;
  };
  // Runs an instant query; may be empty, then `query` fails.
  std::function<base::Result<std::vector<Sample>>(const std::string& query)> query;
  std::string external_url;
  std::string path_prefix;        // the URL's path
  std::int64_t timestamp_ms = 0;  // `now`
};
const FunctionTable& alert_functions();

// Labels shown as map[string]string. Borrows: labels outlive the object.
class LabelsObject final : public Object {
 public:
  explicit LabelsObject(const model::Labels& labels) : labels_(&labels) {}
  std::optional<Value> get(std::string_view key) const override;
  std::vector<std::pair<std::string, Value>> entries() const override;

 private:
  const model::Labels* labels_;
};

// Go's strings functions that other rooms need as well.
std::string to_upper(std::string_view text);  // Unicode
std::string to_lower(std::string_view text);
std::string_view trim_space(std::string_view text) noexcept;
std::string query_escape(std::string_view text);                  // url.QueryEscape
base::Result<std::string> query_unescape(std::string_view text);  // url.QueryUnescape

}  // namespace skald::gotext
