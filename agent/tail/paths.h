#pragma once
// Small helpers on names of log files.

#include <string>
#include <string_view>

namespace skald::agent {

std::string directory_of(const std::string& path);         // "." if there is none
std::string_view name_of(std::string_view path) noexcept;  // after the last slash
bool is_compressed_name(std::string_view path) noexcept;
// "app.log.1", "app.log-20260101" and "app.log_old" are rotations of "app.log".
bool is_rotation_name(std::string_view name, std::string_view base) noexcept;
int open_for_reading(const std::string& path) noexcept;  // -1 and errno

}  // namespace skald::agent
