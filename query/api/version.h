#pragma once

namespace skald::query::api {

constexpr char kSkaldVersion[] = "0.1.0";
// What clients that sniff versions are told: the Loki whose API this is.
constexpr char kLokiVersion[] = "3.7.6";

}  // namespace skald::query::api
