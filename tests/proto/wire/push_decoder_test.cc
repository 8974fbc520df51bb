#include "proto/wire/push_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <fstream>
#include <sstream>

#include "proto/wire/push_encoder.h"

namespace skald::wire {
namespace {

using ::testing::HasSubstr;

constexpr char kProto[] = "application/x-protobuf";
constexpr char kJson[] = "application/json";

std::string bare_request() {
  const model::Labels metadata{{"req_id", "ab-12"}};
  model::PushBatch batch;
  batch.streams.push_back({{{"job", "api"}}, {{1'700'000'000'500'000'000, "hello", &metadata}}});
  batch.marks.push_back({"a1", "f-9", 0, 128});
  std::string body;
  append_batch(body, batch);
  return body;
}

std::string deflated(const std::string& text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string snappy_of(const std::string& text) {
  std::string out;
  compress_snappy(text, out);
  return out;
}

std::string zstd_of(const std::string& text) {
  std::string out;
  EXPECT_TRUE(ZstdCompressor().compress(text, out).ok());
  return out;
}

// One line per entry: labels, time, line, metadata.
std::string shown(const DecodedPush& push) {
  std::ostringstream out;
  for (const model::PushStream& stream : push.batch.streams)
    for (const model::EntryView& entry : stream.entries)
      out << stream.labels.to_string() << " " << entry.timestamp_ns << " " << entry.line << " "
          << (entry.metadata != nullptr ? entry.metadata->to_string() : "") << "\n";
  return out.str();
}

std::string decoded(PushDecoder& decoder, const char* type, const char* coding, std::string body,
                    PushForm form = PushForm::kAuto) {
  PushInput input;
  input.form = form;
  input.content_type = type;
  input.content_encoding = coding;
  input.now_ns = 77;
  const auto push = decoder.decode(input, body);
  if (!push.ok()) return push.status().to_string();
  std::string out = shown(**push);
  for (const std::string& text : (*push)->refused) out += "refused: " + text + "\n";
  return out;
}

const char kHello[] = "{job=\"api\"} 1700000000500000000 hello {req_id=\"ab-12\"}\n";
const char kHelloJson[] =
    R"({"streams":[{"stream":{"job":"api"},"values":[["1700000000500000000","hello",{"req_id":"ab-12"}]]}]})";

TEST(PushDecoder, ReadsEveryCodingThatClientsUse) {
  const std::string bare = bare_request();
  const struct {
    const char* type;
    const char* coding;
    std::string body;
  } cases[] = {
      {kProto, "", snappy_of(bare)},
      {kProto, "snappy", snappy_of(bare)},
      {kProto, "identity", snappy_of(bare)},
      {kProto, "", bare},
      {"application/x-protobuf; charset=x", "gzip", deflated(snappy_of(bare), 31)},
      {kProto, "gzip", deflated(bare, 31)},
      {kProto, "deflate", deflated(snappy_of(bare), -15)},
      {kProto, "deflate", deflated(snappy_of(bare), 15)},
      {kProto, "zstd", zstd_of(bare)},
      {kProto, "zstd", zstd_of(snappy_of(bare))},
      {"text/plain", "", snappy_of(bare)},
      {kJson, "", kHelloJson},
      {"application/json; charset=utf-8", "snappy", kHelloJson},
      {"application/json; a=\"b;\\\"c\" ; d=e;", "", kHelloJson},
      {"Application/JSON", "gzip", deflated(kHelloJson, 31)},
      {kJson, "deflate", deflated(kHelloJson, -15)},
      {kJson, "zstd", zstd_of(kHelloJson)},
  };
  PushDecoder decoder;
  for (const auto& c : cases)
    EXPECT_EQ(decoded(decoder, c.type, c.coding, c.body), kHello) << c.type << " " << c.coding;
}

TEST(PushDecoder, RefusesWhatIsNotWhatItSays) {
  const struct {
    const char* type;
    const char* coding;
    std::string body;
    const char* text;
  } cases[] = {
      {"", "", "x", "mime: no media type"},
      {"nonsense", "", "x", "mime"},
      {"application/json; charset", "", "{}", "mime: invalid media parameter"},
      {"application/json; =utf-8", "", "{}", "mime: invalid media parameter"},
      {"application/json; a=\"b", "", "{}", "mime: invalid media parameter"},
      {"application/json; a=b c", "", "{}", "mime: invalid media parameter"},
      {kProto, "lz4", "x", "Content-Encoding \"lz4\" not supported"},
      {kProto, "", "not snappy", "snappy"},
      {kProto, "snappy", bare_request(), "snappy"},
      {kProto, "gzip", "not gzip", "gzip"},
      {kProto, "gzip", deflated(snappy_of(bare_request()), 31).substr(0, 40), "gzip"},
      {kProto, "zstd", "not zstd", "zstd"},
      {kProto, "zstd", zstd_of(bare_request()).substr(0, 30), "zstd"},
      {kProto, "", snappy_of(bare_request().substr(0, 40)), "malformed protobuf"},
      {kJson, "", "", "push JSON"},
      {kJson, "", "[]", "push JSON"},
      {kJson, "", R"({"streams":{}})", "push JSON"},
      {kJson, "", R"({"streams":[1]})", "push JSON"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]})", "timestamp"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1x","x"]]}]})", "timestamp"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1",2]]}]})", "line"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1"]]}]})", "value"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1","x",{"k":1}]]}]})", "metadata"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1","x",{"k":{}}]]}]})",
       "metadata"},
      {kJson, "", R"({"streams":[{"stream":{"a":1},"values":[]}]})", "label"},
      {kJson, "", R"({"streams":[{"stream":{"a":"b"},"values":[["1","x"]]})", "push JSON"},
  };
  PushDecoder decoder;
  for (const auto& c : cases)
    EXPECT_THAT(decoded(decoder, c.type, c.coding, c.body), HasSubstr(c.text)) << c.body;
  EXPECT_EQ(decoded(decoder, kJson, "", kHelloJson), kHello);  // and works on
}

TEST(PushDecoder, KeepsTheNeighboursOfAStreamWithBadLabels) {
  PushDecoder decoder;
  const std::string out = decoded(
      decoder, kJson, "",
      R"({"streams":[{"stream":{"a-b":"x"},"values":[["1","lost"]]},{"stream":{"a":"b"},"values":[["2","kept"]]}]})");
  EXPECT_THAT(out, HasSubstr("{a=\"b\"} 2 kept"));
  EXPECT_THAT(out, HasSubstr("refused: error parsing labels"));
  EXPECT_EQ(out.find("lost"), std::string::npos);
}

TEST(PushDecoder, ReadsTheLegacyJson) {
  PushDecoder decoder;
  EXPECT_EQ(
      decoded(
          decoder, kJson, "",
          R"({"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"1970-01-01T00:00:01.5+00:00","line":"x"}]}]})",
          PushForm::kLegacy),
      "{a=\"b\"} 1500000000 x \n");
}

TEST(PushDecoder, IgnoresUnknownKeysAndUndoesEscapes) {
  PushDecoder decoder;
  EXPECT_EQ(
      decoded(
          decoder, kJson, "",
          R"({"x":[{}],"streams":[{"y":1,"values":[["5","a\n\"\u00e9"]],"stream":{"k":"v"}}],"z":null})"),
      "{k=\"v\"} 5 a\n\"\xC3\xA9 \n");
}

TEST(PushDecoder, ABombIsRefusedBeforeItUnfolds) {
  PushDecoder decoder;
  // 4 GB of zeros in some 100 KB: the frame does not state its size.
  const std::string chunk(1U << 20, '\0');
  std::string bomb;
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string out(ZSTD_CStreamOutSize(), '\0');
  for (int i = 0; i < 256; ++i) {
    ZSTD_inBuffer in{chunk.data(), chunk.size(), 0};
    while (in.pos < in.size) {
      ZSTD_outBuffer target{out.data(), out.size(), 0};
      ZSTD_compressStream2(context, &target, &in, ZSTD_e_continue);
      bomb.append(out.data(), target.pos);
    }
  }
  ZSTD_freeCCtx(context);
  EXPECT_THAT(decoded(decoder, kProto, "zstd", bomb), HasSubstr("resource_exhausted"));
  EXPECT_THAT(decoded(decoder, kProto, "gzip", deflated(std::string(64U << 20, 'a'), 31)),
              HasSubstr("resource_exhausted"));
  // A snappy block that claims 3 GB.
  EXPECT_THAT(decoded(decoder, kProto, "snappy", std::string("\x80\x80\x80\x80\x0C\x00", 6)),
              HasSubstr("resource_exhausted"));
  // Two bytes an entry: the count is capped, not the bytes.
  std::string entries;
  for (int i = 0; i < 500'000; ++i) entries.append("\x12\x00", 2);
  std::string body;
  append_stream(body, "{a=\"b\"}", entries);
  EXPECT_THAT(decoded(decoder, kProto, "zstd", zstd_of(body)), HasSubstr("resource_exhausted"));
}

TEST(PushDecoder, ReadsTheExampleOfTheDocument) {
  std::ifstream file(SKALD_SOURCE_DIR "/proto/wire/PUSH.md");
  const std::string document((std::istreambuf_iterator<char>(file)), {});
  const std::size_t start = document.find("```\n", document.find("## Example")) + 4;
  const std::string block = document.substr(start, document.find("```", start) - start);
  std::string body;
  std::istringstream lines(block);
  for (std::string line; std::getline(lines, line);) {
    std::size_t at = line.find_first_not_of(' ');
    while (at + 1 < line.size() && std::isxdigit(line[at]) != 0 &&
           std::isxdigit(line[at + 1]) != 0 && (at + 2 == line.size() || line[at + 2] == ' ')) {
      body.push_back(static_cast<char>(std::stoi(line.substr(at, 2), nullptr, 16)));
      at += 3;
      if (at < line.size() && line[at] == ' ') break;
    }
  }
  EXPECT_EQ(body, bare_request());
  PushDecoder decoder;
  EXPECT_EQ(decoded(decoder, kProto, "zstd", zstd_of(body)), kHello);
  const std::size_t json = document.find("```json\n") + 8;
  EXPECT_EQ(decoded(decoder, kJson, "", document.substr(json, document.find("```", json) - json)),
            kHello);
}

TEST(PushDecoder, ReadsMarksAndRefusesBadOnes) {
  PushDecoder decoder;
  PushInput input;
  input.content_type = kProto;
  input.content_encoding = "zstd";
  const model::FileMark good{"agent", "file", 5, 9};
  std::string body;
  append_mark(body, good);
  std::string packed = zstd_of(body);
  const auto push = decoder.decode(input, packed);
  ASSERT_TRUE(push.ok()) << push.status().to_string();
  ASSERT_EQ((*push)->batch.marks.size(), 1U);
  EXPECT_EQ((*push)->batch.marks[0], good);
  for (const model::FileMark& bad :
       {model::FileMark{"", "f", 0, 1}, model::FileMark{"a", "", 0, 1},
        model::FileMark{"a", "f", 2, 1}, model::FileMark{std::string(300, 'a'), "f", 0, 1}}) {
    body.clear();
    append_mark(body, bad);
    packed = zstd_of(body);
    EXPECT_EQ(decoder.decode(input, packed).status().code(), base::Code::kInvalidArgument);
  }
}

TEST(PushEncoder, SaysBeforehandHowLargeAnEntryIs) {
  const model::Labels metadata{{"a", "b"}, {"c", std::string(200, 'd')}};
  const std::string line(300, 'x');
  for (const model::EntryView& entry :
       {model::EntryView{0, "", nullptr}, model::EntryView{-1, line, nullptr},
        model::EntryView{1'700'000'000'123'456'789, line, &metadata}}) {
    std::string out;
    append_entry(out, entry);
    EXPECT_EQ(out.size(), encoded_entry_size(entry));
  }
}

}  // namespace
}  // namespace skald::wire
