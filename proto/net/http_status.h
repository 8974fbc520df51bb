#pragma once
#include <string_view>

namespace skald::net {

std::string_view reason_phrase(int status) noexcept;  // "Not Found"

}  // namespace skald::net
