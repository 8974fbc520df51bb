// The two JSON push forms, read with simdjson's on-demand parser: one pass, strings in place.
#include <simdjson.h>

#include <charconv>
#include <optional>

#include "proto/base/clock.h"
#include "proto/wire/push_builder.h"
#include "proto/wire/rfc3339.h"

namespace skald::wire {
namespace {

namespace od = simdjson::ondemand;

base::Status bad(const std::string& what) { return base::invalid_argument("push JSON: " + what); }
base::Status bad(const char* where, simdjson::error_code error) {
  return bad(std::string(where) + ": " + simdjson::error_message(error));
}

#define SKALD_JSON(expression, where)                                                              \
  do {                                                                                             \
    if (const simdjson::error_code error_ = (expression); error_) return bad(where, error_);       \
  } while (false)

class Reader {
 public:
  explicit Reader(PushBuilder& builder) : builder_(builder) {}

  base::Status read(od::document& document, bool legacy) {
    od::object root;
    SKALD_JSON(document.get_object().get(root), "the body must be an object");
    for (auto member : root) {
      od::field field;
      SKALD_JSON(std::move(member).get(field), "the body");
      std::string_view key;
      SKALD_JSON(field.unescaped_key().get(key), "a key");
      if (key != "streams") continue;
      od::array streams;
      SKALD_JSON(field.value().get_array().get(streams), "'streams' must be an array");
      for (auto item : streams) {
        od::object stream;
        SKALD_JSON(item.get_object().get(stream), "a stream must be an object");
        SKALD_TRY(legacy ? read_legacy_stream(stream) : read_stream(stream));
      }
    }
    return {};
  }

 private:
  base::Status begin_stream() {
    if (builder_.begin_stream()) return {};
    return base::resource_exhausted("more than " + std::to_string(kStreamsMax) +
                                    " streams in one request");
  }

  base::Status read_stream(od::object& stream) {
    SKALD_TRY(begin_stream());
    std::vector<model::Labels::Pair> labels;
    for (auto member : stream) {
      od::field field;
      SKALD_JSON(std::move(member).get(field), "a stream");
      std::string_view key;
      SKALD_JSON(field.unescaped_key().get(key), "a key of a stream");
      if (key == "stream") {
        od::object object;
        SKALD_JSON(field.value().get_object().get(object), "'stream' must be an object");
        SKALD_TRY(read_labels(object, labels, "a label"));
      } else if (key == "values") {
        od::array values;
        SKALD_JSON(field.value().get_array().get(values), "'values' must be an array");
        for (auto item : values) {
          od::array value;
          SKALD_JSON(item.get_array().get(value), "a value must be an array");
          SKALD_TRY(read_value(value));
        }
      }
    }
    return end_stream(std::move(labels));
  }

  base::Status end_stream(std::vector<model::Labels::Pair> labels) {
    for (const auto& [name, value] : labels) {
      if (model::is_label_name(name)) continue;
      builder_.refuse_stream("error parsing labels '" +
                             model::Labels::from_pairs(labels).to_string() +
                             "' with error: invalid label name '" + name.substr(0, 256) + "'");
      return {};
    }
    builder_.end_stream(model::Labels::from_pairs(std::move(labels)));
    return {};
  }

  base::Status read_labels(od::object& object, std::vector<model::Labels::Pair>& out,
                           const char* what) {
    for (auto member : object) {
      od::field field;
      SKALD_JSON(std::move(member).get(field), what);
      std::string_view key;
      std::string_view value;
      SKALD_JSON(field.unescaped_key().get(key), what);
      std::string name(key);  // the parser reuses its buffer only for the next document
      if (field.value().get_string().get(value) != simdjson::SUCCESS)
        return bad(std::string(what) + " must have a string value: '" + name.substr(0, 256) + "'");
      if (out.size() >= kMetadataPairsMax)
        return bad("more than " + std::to_string(kMetadataPairsMax) + " pairs in one object");
      out.emplace_back(std::move(name), std::string(value));
    }
    return {};
  }

  base::Status read_value(od::array& value) {
    SKALD_TRY(builder_.check_room());
    model::EntryView& entry = builder_.add_entry();
    int position = 0;
    for (auto item : value) {
      od::value element;
      // NOLINTNEXTLINE(performance-move-const-arg): get() takes an rvalue in simdjson 3.0
      SKALD_JSON(std::move(item).get(element), "a value");
      if (position == 0) {
        std::string_view text;
        if (element.get_string().get(text) != simdjson::SUCCESS)
          return bad("a timestamp must be a string of nanoseconds");
        const auto [end, error] =
            std::from_chars(text.data(), text.data() + text.size(), entry.timestamp_ns);
        if (error != std::errc() || end != text.data() + text.size() || text.empty())
          return bad("timestamp '" + std::string(text.substr(0, 64)) +
                     "' is not an integer of nanoseconds");
      } else if (position == 1) {
        if (element.get_string().get(entry.line) != simdjson::SUCCESS)
          return bad("a line must be a string");
      } else if (position == 2) {
        SKALD_TRY(read_metadata(element, entry));
      }
      ++position;
    }
    return position >= 2 ? base::Status() : bad("a value must be [\"<ns>\", \"line\"]");
  }

  base::Status read_metadata(od::value& element, model::EntryView& entry) {
    od::object object;
    SKALD_JSON(element.get_object().get(object), "structured metadata must be an object");
    std::vector<model::Labels::Pair> pairs;
    SKALD_TRY(read_labels(object, pairs, "structured metadata"));
    if (pairs.empty()) return {};
    model::Labels labels = model::Labels::from_pairs(std::move(pairs));
    if (last_ == nullptr || *last_ != labels) last_ = builder_.keep(std::move(labels));
    entry.metadata = last_;
    return {};
  }

  base::Status read_legacy_stream(od::object& stream) {
    SKALD_TRY(begin_stream());
    std::string labels = "{}";
    for (auto member : stream) {
      od::field field;
      SKALD_JSON(std::move(member).get(field), "a stream");
      std::string_view key;
      SKALD_JSON(field.unescaped_key().get(key), "a key of a stream");
      if (key == "labels") {
        std::string_view text;
        SKALD_JSON(field.value().get_string().get(text), "'labels' must be a string");
        labels = text;
      } else if (key == "entries") {
        od::array entries;
        SKALD_JSON(field.value().get_array().get(entries), "'entries' must be an array");
        for (auto item : entries) {
          od::object entry;
          SKALD_JSON(item.get_object().get(entry), "an entry must be an object");
          SKALD_TRY(read_legacy_entry(entry));
        }
      }
    }
    builder_.end_stream(labels);
    return {};
  }

  base::Status read_legacy_entry(od::object& object) {
    SKALD_TRY(builder_.check_room());
    model::EntryView& entry = builder_.add_entry();
    bool timed = false;
    for (auto member : object) {
      od::field field;
      SKALD_JSON(std::move(member).get(field), "an entry");
      std::string_view key;
      SKALD_JSON(field.unescaped_key().get(key), "a key of an entry");
      if (key == "ts" || key == "timestamp") {
        std::string_view text;
        SKALD_JSON(field.value().get_string().get(text), "'ts' must be a string");
        const std::optional<std::int64_t> time_ns = parse_rfc3339(text);
        if (!time_ns)
          return bad("'ts' is not an RFC 3339 time: '" + std::string(text.substr(0, 64)) + "'");
        entry.timestamp_ns = *time_ns;
        timed = true;
      } else if (key == "line") {
        SKALD_JSON(field.value().get_string().get(entry.line), "'line' must be a string");
      }
    }
    return timed ? base::Status() : bad("an entry has no 'ts'");
  }

  PushBuilder& builder_;
  const model::Labels* last_ = nullptr;
};

}  // namespace

struct JsonPushParser::Impl {
  std::unique_ptr<od::parser> parser;
};

JsonPushParser::JsonPushParser() : impl_(std::make_unique<Impl>()) {}
JsonPushParser::~JsonPushParser() = default;

base::Status JsonPushParser::decode(std::string_view padded, bool legacy, PushBuilder& builder) {
  static_assert(simdjson::SIMDJSON_PADDING <= 64);
  // Views of the last batch are dead by now, so an oversized parser may go.
  if (impl_->parser == nullptr || impl_->parser->capacity() > kKeptBytesMax)
    impl_->parser = std::make_unique<od::parser>();
  od::document document;
  const simdjson::padded_string_view text(padded.data(), padded.size(),
                                          padded.size() + simdjson::SIMDJSON_PADDING);
  const simdjson::error_code error = impl_->parser->iterate(text).get(document);
  if (error) return bad("malformed", error);
  return Reader(builder).read(document, legacy);
}

}  // namespace skald::wire
