// Templates from queries, rule files and the agent's configuration: any text must parse or fail,
// and execute within its limits, under every function table.
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/gotext/functions.h"
#include "proto/gotext/template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skald;
  if (size > (64U << 10)) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const model::Labels labels{{"app", "a"}, {"json", R"({"a":[1,{"b":null}]})"}, {"n", "42"}};
  static const gotext::LabelsObject object(labels);
  static const gotext::LineContext line{"the line", 1'700'000'000'000'000'000};
  static const gotext::AlertContext alert;
  const auto run = [&](const gotext::FunctionTable& functions, const void* context) {
    auto parsed = gotext::Template::parse("fuzz", text, functions, gotext::MissingKey::kZero);
    if (!parsed.ok()) return;
    gotext::ExecOptions options;
    options.context = context;
    options.output_max = 1U << 20;
    options.steps_max = 20'000;
    std::string out;
    static_cast<void>(parsed->execute(gotext::Value::object(&object), out, options));
    static_cast<void>(parsed->field_names());
  };
  run(gotext::logql_functions(), &line);
  run(gotext::agent_functions(), nullptr);
  run(gotext::alert_functions(), &alert);
  return 0;
}
