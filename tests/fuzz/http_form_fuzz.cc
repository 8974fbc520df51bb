// What requests say in text: query strings, forms, Accept-Encoding, parameters.
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/net/compress.h"
#include "proto/net/url.h"
#include "query/api/params.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  skald::net::FormFields fields;
  skald::net::parse_form(text, fields);
  if (fields.size() > skald::net::kFormFieldsMax) __builtin_trap();
  if (skald::net::percent_decode(text, true).size() > size) __builtin_trap();
  skald::net::choose_coding(text);
  skald::net::ServerRequest request;
  request.target = "/x?" + text;
  const auto params = skald::query::api::Params::from(request);
  const auto range = skald::query::api::parse_range(params, 1'700'000'000'000'000'000);
  if (range.ok() && range->end_ns < range->start_ns) __builtin_trap();
  if (range.ok()) (void)skald::query::api::parse_query_step(params, *range).ok();
  (void)skald::query::api::parse_time(text).ok();
  (void)skald::query::api::parse_step(text, "step").ok();
  return 0;
}
