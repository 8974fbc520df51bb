#pragma once
// JSON, logfmt and label names as Loki's parsers read them, written out plainly for naive_row.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skald::tests {

std::string naive_label_name(std::string_view key);
std::string naive_joined(const std::string& prefix, std::string_view key);
std::string naive_without_bad_runes(const std::string& text);  // a space for each

struct NaiveJsonValue {
  enum class Type { kObject, kArray, kString, kToken, kNull };
  Type type = Type::kNull;
  std::string_view raw;      // of strings without the quotes
  std::string text() const;  // as a label's value
};

// The members of an object, one by one; what is wrong shows where it is met.
class NaiveJsonReader {
 public:
  explicit NaiveJsonReader(std::string_view text) : text_(text) {}
  bool open_object();
  bool next_member();
  bool malformed() const { return malformed_; }
  const std::string& key() const { return key_; }
  const NaiveJsonValue& value() const { return value_; }

 private:
  void skip_space();
  bool fail();
  bool read_value();

  std::string_view text_;
  std::size_t at_ = 0;
  bool first_ = true, done_ = false, malformed_ = false;
  std::string key_;
  NaiveJsonValue value_;
};

bool naive_is_json_object(std::string_view text);
// Keys joined by dots; nullopt for anything else.
std::optional<std::vector<std::string>> naive_path(const std::string& text);
// The first value at the path in the order of the text.
std::optional<NaiveJsonValue> naive_find(std::string_view object,
                                         const std::vector<std::string>& path);

class NaiveLogfmtReader {
 public:
  struct Pair {
    std::string key, value;
  };
  explicit NaiveLogfmtReader(std::string_view text) : text_(text) {}
  std::optional<Pair> next();  // nullopt: the end, or something malformed was skipped
  bool at_end() const { return at_ >= text_.size(); }
  bool failed() const { return failed_; }

 private:
  std::optional<Pair> skip();
  std::optional<std::string> quoted();

  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace skald::tests
