// Our reader against libprotobuf's, on generated requests and on damaged ones.
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <random>

#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/wire/push_decoder.h"
#include "proto/wire/push_encoder.h"

namespace skald::wire {
namespace {

namespace pb = google::protobuf;

class Reference {
 public:
  // The request stated once more, independently of push_fields.h.
  Reference() : factory_(&pool_) {
    using F = pb::FieldDescriptorProto;
    pb::FileDescriptorProto file;
    file.set_name("push.proto");
    file.set_syntax("proto3");
    const auto message = [&file](const char* name, std::vector<FieldSpec> fields) {
      pb::DescriptorProto* m = file.add_message_type();
      m->set_name(name);
      for (const FieldSpec& spec : fields) {
        F* f = m->add_field();
        f->set_name(spec.name);
        f->set_number(spec.number);
        f->set_label(spec.repeated ? F::LABEL_REPEATED : F::LABEL_OPTIONAL);
        f->set_type(spec.type);
        if (spec.type == F::TYPE_MESSAGE) f->set_type_name(spec.message);
      }
    };
    message("PushRequest", {{"streams", 1, F::TYPE_MESSAGE, true, "Stream"},
                            {"format", 2, F::TYPE_BYTES},
                            {"marks", 100, F::TYPE_MESSAGE, true, "FileMark"}});
    message("Stream", {{"labels", 1, F::TYPE_BYTES},
                       {"entries", 2, F::TYPE_MESSAGE, true, "Entry"},
                       {"hash", 3, F::TYPE_UINT64}});
    message("Entry", {{"timestamp", 1, F::TYPE_MESSAGE, false, "Timestamp"},
                      {"line", 2, F::TYPE_BYTES},
                      {"structured_metadata", 3, F::TYPE_MESSAGE, true, "Pair"}});
    message("Timestamp", {{"seconds", 1, F::TYPE_INT64}, {"nanos", 2, F::TYPE_INT32}});
    message("Pair", {{"name", 1, F::TYPE_BYTES}, {"value", 2, F::TYPE_BYTES}});
    message("FileMark", {{"agent_id", 1, F::TYPE_BYTES},
                         {"file_id", 2, F::TYPE_BYTES},
                         {"start_offset", 3, F::TYPE_UINT64},
                         {"end_offset", 4, F::TYPE_UINT64}});
    type_ = pool_.BuildFile(file)->FindMessageTypeByName("PushRequest");
  }

  // The request as text, or "malformed".
  std::string read(const std::string& body) {
    std::unique_ptr<pb::Message> message(factory_.GetPrototype(type_)->New());
    if (!message->ParseFromString(body)) return "malformed";
    std::string out;
    for_each(*message, "streams", [&](const pb::Message& stream) {
      auto labels = model::parse_labels(text(stream, "labels"));
      if (!labels.ok()) return;
      out += labels->to_string() + "\n";
      for_each(stream, "entries", [&](const pb::Message& entry) { out += shown(entry); });
    });
    for_each(*message, "marks", [&](const pb::Message& mark) {
      out += text(mark, "agent_id") + "/" + text(mark, "file_id") + "\n";
    });
    return out;
  }

 private:
  static const pb::FieldDescriptor* field(const pb::Message& m, const char* name) {
    return m.GetDescriptor()->FindFieldByName(name);
  }
  static std::string text(const pb::Message& m, const char* name) {
    return m.GetReflection()->GetString(m, field(m, name));
  }
  template <typename Visit>
  static void for_each(const pb::Message& m, const char* name, Visit visit) {
    const auto* f = field(m, name);
    for (int i = 0; i < m.GetReflection()->FieldSize(m, f); ++i)
      visit(m.GetReflection()->GetRepeatedMessage(m, f, i));
  }
  static std::string shown(const pb::Message& entry) {
    const pb::Message& t = entry.GetReflection()->GetMessage(entry, field(entry, "timestamp"));
    const std::int64_t seconds = t.GetReflection()->GetInt64(t, field(t, "seconds"));
    const std::int64_t nanos = t.GetReflection()->GetInt32(t, field(t, "nanos"));
    std::vector<model::Labels::Pair> pairs;
    for_each(entry, "structured_metadata", [&](const pb::Message& pair) {
      pairs.emplace_back(text(pair, "name"), text(pair, "value"));
    });
    const model::Labels metadata = model::Labels::from_pairs(std::move(pairs));
    return std::to_string(seconds * base::kNsPerSecond + nanos) + " " + text(entry, "line") + " " +
           metadata.to_string() + "\n";
  }

  struct FieldSpec {
    const char* name;
    int number;
    pb::FieldDescriptorProto::Type type;
    bool repeated = false;
    const char* message = "";
  };
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  const pb::Descriptor* type_ = nullptr;
};

std::string ours(PushDecoder& decoder, const std::string& body) {
  PushInput input;
  input.content_type = "application/x-protobuf";
  input.content_encoding = "zstd";
  std::string packed;
  EXPECT_TRUE(ZstdCompressor().compress(body, packed).ok());
  const auto push = decoder.decode(input, packed);
  if (!push.ok()) return "refused: " + push.status().to_string();
  std::string out;
  for (const model::PushStream& stream : (*push)->batch.streams) {
    out += stream.labels.to_string() + "\n";
    for (const model::EntryView& entry : stream.entries)
      out += std::to_string(entry.timestamp_ns) + " " + std::string(entry.line) + " " +
             (entry.metadata != nullptr ? entry.metadata->to_string() : "{}") + "\n";
  }
  for (const model::FileMark& mark : (*push)->batch.marks)
    out += mark.agent_id + "/" + mark.file_id + "\n";
  return out;
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}
  std::string request() {
    std::string body;
    const unsigned streams = below(4) + 1;
    for (unsigned s = 0; s < streams; ++s) {
      std::string entries;
      for (unsigned e = below(6); e > 0; --e) {
        if (below(4) == 0) unknown(entries);
        const model::Labels metadata{{"k" + std::to_string(below(3)), text()}};
        const std::string line = text();
        append_entry(entries, {static_cast<std::int64_t>(random_() >> 2), line,
                               below(2) == 0 ? &metadata : nullptr});
      }
      append_stream(body, "{a=\"" + std::to_string(below(3)) + "\"}", entries);
      if (below(3) == 0) unknown(body);
    }
    if (below(3) == 0) append_mark(body, {"agent", "file" + text(), below(10), 10 + below(9)});
    return body;
  }
  std::string damaged(std::string body) {
    for (unsigned n = below(3) + 1; n > 0 && !body.empty(); --n) {
      const std::size_t at = below(static_cast<unsigned>(body.size()));
      if (below(3) == 0)
        body.erase(at);
      else
        body[at] = static_cast<char>(random_());
    }
    return body;
  }

 private:
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::string text() {
    std::string out(below(40), '\0');
    for (char& c : out) c = static_cast<char>('a' + below(26));
    return out;
  }
  void unknown(std::string& out) {  // fields of numbers nobody uses
    switch (below(5)) {
      case 0: base::put_varint(out, 50 << 3 | 0), base::put_varint(out, random_()); break;
      case 1: base::put_varint(out, 51 << 3 | 1), out.append(8, 'x'); break;
      case 2: base::put_varint(out, 52 << 3 | 2), base::put_bytes(out, text()); break;
      case 3: base::put_varint(out, 53 << 3 | 5), out.append(4, 'y'); break;
      default:
        base::put_varint(out, 54 << 3 | 3);
        base::put_varint(out, 1 << 3 | 0), base::put_varint(out, 7);
        base::put_varint(out, 54 << 3 | 4);
    }
  }
  std::mt19937_64 random_;
};

TEST(ProtobufPush, ReadsAsLibprotobufDoes) {
  Reference reference;
  PushDecoder decoder;
  Generator generator(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string body = generator.request();
    ASSERT_EQ(ours(decoder, body), reference.read(body)) << i;
  }
}

TEST(ProtobufPush, NeverAcceptsWhatLibprotobufRefusesNorReadsItOtherwise) {
  Reference reference;
  PushDecoder decoder;
  Generator generator(2);
  int both = 0;
  for (int i = 0; i < 10000; ++i) {
    const std::string body = generator.damaged(generator.request());
    const std::string mine = ours(decoder, body);
    // We refuse more (timestamps, marks, mixed-up codings); what we accept must be the same.
    if (mine.substr(0, 8) == "refused:") continue;
    ASSERT_EQ(mine, reference.read(body)) << i;
    ++both;
  }
  EXPECT_GT(both, 1000);
}

}  // namespace
}  // namespace skald::wire
