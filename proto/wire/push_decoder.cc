#include "proto/wire/push_decoder.h"

#include <algorithm>
#include <cctype>

#include "proto/wire/decompress.h"
#include "proto/wire/push_builder.h"

namespace skald::wire {
namespace {

constexpr std::size_t kJsonPadding = 64;  // simdjson reads this far past the end

std::string lower_trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// "type/subtype" without parameters, or empty if it is not of that form.
std::string media_type(std::string_view content_type) {
  std::string type = lower_trimmed(content_type.substr(0, content_type.find(';')));
  const std::size_t slash = type.find('/');
  const bool fine = slash != std::string::npos && slash > 0 && slash + 1 < type.size() &&
                    type.find_first_of(" \t/", slash + 1) == std::string::npos;
  return fine ? type : std::string();
}

bool is_token(char c) {
  return c > ' ' && c < 0x7F &&
         std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

void skip_space(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// Takes `name=token` or `name="text"` off the text; false: it begins with neither.
bool take_parameter(std::string_view& text) {
  const auto token = [&] {
    const auto end = std::find_if_not(text.begin(), text.end(), is_token);
    const auto size = static_cast<std::size_t>(end - text.begin());
    text.remove_prefix(size);
    return size > 0;
  };
  skip_space(text);
  if (!token()) return false;
  skip_space(text);
  if (!text.starts_with('=')) return false;
  text.remove_prefix(1);
  skip_space(text);
  if (!text.starts_with('"')) return token();
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;
    } else if (text[at] == '"') {
      text.remove_prefix(at + 1);
      return true;
    }
  }
  return false;
}

// What follows the type, as Go reads it: nothing reads a parameter, but a malformed one is refused.
bool are_parameters(std::string_view text) {
  for (skip_space(text); !text.empty(); skip_space(text)) {
    if (!text.starts_with(';')) return false;
    text.remove_prefix(1);
    std::string_view rest = text;
    skip_space(rest);
    if (rest.empty()) return true;
    if (!take_parameter(text)) return false;
  }
  return true;
}

// A snappy block that starts with 0x0A holds 10 bytes and cannot be longer than this.
constexpr std::size_t kTenBytesOfSnappyMax = 128;

}  // namespace

struct PushDecoder::Impl {
  Decompressor decompressor;
  std::shared_ptr<Buffer> first, second;  // the last results of decompressor; see own()
  JsonPushParser json;
  PushBuilder builder;

  // A buffer that somebody keeps is theirs.
  static Buffer& own(std::shared_ptr<Buffer>& buffer) {
    if (buffer == nullptr || buffer.use_count() > 1) buffer = std::make_shared<Buffer>();
    return *buffer;
  }
  base::Status decode(const PushInput& input, std::string& body);

 private:
  base::Status unpack(const std::string& coding, std::string_view in, bool json_form,
                      std::string_view& out);
  base::Status protobuf(const PushInput& input, std::string_view body, bool coded_as_snappy);
  base::Status unsnap(std::string_view body, bool must, std::string_view& out);
};

base::Status PushDecoder::Impl::decode(const PushInput& input, std::string& body) {
  builder.reset();
  const std::string type = media_type(input.content_type);
  if (type.empty())
    return base::invalid_argument(input.content_type.empty()
                                      ? std::string("mime: no media type")
                                      : "mime: malformed Content-Type '" +
                                            std::string(input.content_type.substr(0, 200)) + "'");
  if (!are_parameters(input.content_type.substr(
          std::min(input.content_type.find(';'), input.content_type.size()))))
    return base::invalid_argument("mime: invalid media parameter");
  const bool is_json = type == "application/json";
  std::string coding = lower_trimmed(input.content_encoding);
  if (coding == "identity") coding.clear();
  const bool as_snappy = coding == "snappy";
  if (as_snappy)
    coding.clear();  // JSON under this name is plain, protobuf is a snappy block anyway
  std::string_view plain;
  if (coding.empty()) {
    if (is_json) body.reserve(body.size() + kJsonPadding);
    plain = body;
    if (plain.size() > kDecodedBytesMax && is_json)
      return base::resource_exhausted("JSON body larger than " + std::to_string(kDecodedBytesMax) +
                                      " bytes: send smaller batches");
  } else {
    SKALD_TRY(unpack(coding, body, is_json, plain));
    // A frame that does not state its size is unpacked into more memory than it needs.
    if (coding == "zstd" && first->capacity() <= plain.size() + plain.size() / 8)
      builder.result().batch.body = {model::PackedBody::Coding::kZstd, body, plain, first};
  }
  builder.result().decoded_bytes = plain.size();
  if (!is_json) return protobuf(input, plain, as_snappy);
  if (input.form == PushForm::kOtlp) return decode_otlp_json(plain, input.now_ns, builder);
  return json.decode(plain, input.form == PushForm::kLegacy, builder);
}

base::Status PushDecoder::Impl::unpack(const std::string& coding, std::string_view in,
                                       bool json_form, std::string_view& out) {
  const std::size_t size_max = json_form ? kUnpackedJsonBytesMax : kDecodedBytesMax;
  if (coding == "gzip" || coding == "x-gzip") {
    SKALD_TRY(decompressor.gzip(in, size_max, own(first)));
  } else if (coding == "deflate") {
    SKALD_TRY(decompressor.deflate(in, size_max, own(first)));
  } else if (coding == "zstd") {
    SKALD_TRY(decompressor.zstd(in, size_max, own(first)));
  } else {
    return base::unsupported("Content-Encoding \"" + coding.substr(0, 100) + "\" not supported");
  }
  out = first->view();
  return {};
}

base::Status PushDecoder::Impl::protobuf(const PushInput& input, std::string_view body,
                                         bool coded_as_snappy) {
  if (input.form == PushForm::kOtlp && !coded_as_snappy)
    return decode_otlp_protobuf(body, input.now_ns, builder);
  const std::string_view packed = body;
  SKALD_TRY(unsnap(packed, coded_as_snappy, body));
  builder.result().decoded_bytes = body.size();
  if (second != nullptr && body.data() == second->data())
    builder.result().batch.body = {model::PackedBody::Coding::kSnappy, packed, body, second};
  if (input.form == PushForm::kOtlp) return decode_otlp_protobuf(body, input.now_ns, builder);
  return decode_protobuf(body, builder);
}

// Loki's clients send a snappy block whatever Content-Encoding says; ours, and simple scripts,
// send bare protobuf. PUSH.md says how the two are told apart.
base::Status PushDecoder::Impl::unsnap(std::string_view body, bool must, std::string_view& out) {
  const bool bare =
      !must && (body.empty() || (body[0] == 0x0A && body.size() > kTenBytesOfSnappyMax));
  if (bare) {
    out = body;
    return {};
  }
  base::Status status = decompressor.snappy(body, kDecodedBytesMax, own(second));
  if (status.ok()) {
    out = second->view();
    return {};
  }
  // A request with nothing but file marks, or a short one.
  const bool may_be_bare = body[0] == 0x0A || static_cast<unsigned char>(body[0]) == 0xA2;
  if (must || !may_be_bare) return status;
  out = body;
  return {};
}

PushDecoder::PushDecoder() : impl_(std::make_unique<Impl>()) {}
PushDecoder::~PushDecoder() = default;
PushDecoder::PushDecoder(PushDecoder&&) noexcept = default;
PushDecoder& PushDecoder::operator=(PushDecoder&&) noexcept = default;

base::Result<DecodedPush*> PushDecoder::decode(const PushInput& input, std::string& body) {
  if (base::Status status = impl_->decode(input, body); !status.ok()) {
    release_large_buffers();
    return status;
  }
  return &impl_->builder.result();
}

void PushDecoder::release_large_buffers() noexcept {
  impl_->builder.result().batch.body.reset();
  for (auto* buffer : {&impl_->first, &impl_->second})
    if (*buffer != nullptr && (buffer->use_count() > 1 || (*buffer)->capacity() > kKeptBytesMax))
      buffer->reset();
}

}  // namespace skald::wire
