#include "agent/parse/program.h"

#include "agent/parse/limits.h"

namespace skald::agent {

namespace {

using BuildBody = StagePtr (*)(MapReader& body, BuildContext& build);

struct StageKind {
  std::string_view type;
  BuildBody build;
};
constexpr StageKind kBodyStages[] = {
    {"json", build_json},           {"logfmt", build_logfmt},
    {"regex", build_regex},         {"replace", build_replace},
    {"template", build_template},   {"output", build_output},
    {"pack", build_pack},           {"decolorize", build_decolorize},
    {"timestamp", build_timestamp}, {"tenant", build_tenant},
    {"drop", build_drop},           {"limit", build_limit},
    {"sampling", build_sampling},   {"match", build_match},
    {"multiline", build_multiline}, {"cri", build_cri},
    {"docker", build_docker},
};

class ProgramBuilder {
 public:
  ProgramBuilder(ReadState& state, StageMetrics& metrics, std::uint64_t seed) : state_(state) {
    build_.state = &state;
    build_.names = &program.names;
    build_.metrics = &metrics;
    build_.random_seed = seed;
  }

  void add_all(const Node& stages, const std::string& path, int depth) {
    if (stages.is_null()) return;
    if (!stages.is_sequence()) {
      return state_.fail(stages.line, path, "a list of stages is expected here");
    }
    for (std::size_t i = 0; i < stages.items.size() && state_.ok(); ++i) {
      add(stages.items[i], path + "[" + std::to_string(i) + "]", depth);
    }
  }

  Program program;

 private:
  void add(const Node& item, const std::string& path, int depth) {
    if (!item.is_map() || item.fields.empty()) {
      // `- cri` instead of `- cri: {}`
      const std::string name = item.is_scalar() ? item.scalar : "stage";
      return state_.fail(item.line, path,
                         "each stage is a map with one key; write `- " + name + ": ...`, or `" +
                             name + ": {}` if it takes no options");
    }
    if (item.fields.size() > 1) {
      return state_.fail(item.fields[1].second.key_line, path,
                         "a stage holds exactly one key; `" + item.fields[1].first +
                             "` needs its own `- `, or belongs deeper under `" +
                             item.fields[0].first + "`");
    }
    if (program.stages.size() >= kStagesMax) {
      return state_.fail(item.line, path, "more than 1000 stages");
    }
    const auto& [type, body] = item.fields[0];
    const std::string at = path + "." + type;
    StagePtr stage = build_one(type, body, at);
    if (!state_.ok() || stage == nullptr) return;
    stage->type = type;
    stage->index = program.stages.size();
    stage->depth = depth;
    Stage* const raw = stage.get();
    program.stages.push_back(std::move(stage));
    if (type == "match") {
      if (depth >= kMatchDepthMax) return state_.fail(item.line, at, "nested too deeply");
      if (const Node* own = body.find("stages")) add_all(*own, at + ".stages", depth + 1);
      raw->skip_to = program.stages.size();
    }
  }

  StagePtr build_one(const std::string& type, const Node& body, const std::string& at) {
    for (const StageKind& kind : kBodyStages) {
      if (kind.type != type) continue;
      MapReader reader(body, at, state_);
      if (!state_.ok()) return nullptr;
      StagePtr stage = kind.build(reader, build_);
      reader.finish_loosely();
      return stage;
    }
    if (type == "labels") return build_labels(body, at, build_);
    if (type == "structured_metadata" || type == "non_indexed_labels") {
      return build_structured_metadata(body, at, build_);
    }
    if (type == "static_labels") return build_static_labels(body, at, build_);
    if (type == "labeldrop") return build_label_filter(body, at, false, build_);
    if (type == "labelallow") return build_label_filter(body, at, true, build_);
    if (type == "metrics") return build_metrics(body, at, build_);
    state_.fail(body.key_line, at, unknown(type));
    return nullptr;
  }

  static std::string unknown(const std::string& type) {
    if (type == "geoip") {
      return "not supported: it needs a MaxMind database in every agent; take the stage out and "
             "look addresses up where the logs are queried";
    }
    if (type == "eventlogmessage") {
      return "not supported: it reads Windows event logs, and this agent runs on Linux; take the "
             "stage out, or keep Promtail or Alloy for Windows hosts";
    }
    if (type == "luhn") {
      return "not a Promtail stage (Alloy has it); use `replace` with an expression instead";
    }
    std::string message = "unknown stage; there are";
    for (const StageKind& kind : kBodyStages) message.append(" ").append(kind.type);
    return message + " labels static_labels labeldrop labelallow structured_metadata metrics";
  }

  ReadState& state_;
  BuildContext build_;
};

}  // namespace

std::string Program::describe() const {
  std::string out;
  std::size_t number = 0;
  for (const StagePtr& stage : stages) {
    ++number;
    out.append(static_cast<std::size_t>(stage->depth) * 2, ' ');
    out += std::to_string(number) + ". " + stage->type + ": " + stage->describe() + "\n";
  }
  return out;
}

Program build_program(const Node& stages, const std::string& path, ReadState& state,
                      StageMetrics& metrics, std::uint64_t random_seed) {
  ProgramBuilder builder(state, metrics, random_seed);
  builder.add_all(stages, path, 0);
  return std::move(builder.program);
}

}  // namespace skald::agent
