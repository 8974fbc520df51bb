#pragma once
// Splits a JSON line into its shape (all literal bytes) and its scalar values, exactly: joining
// them gives the line back. Lines are first matched against the shapes seen before (a tree of
// literals: compare the expected bytes, scan the value, go on); only a line of a new shape is
// parsed in full.
//
// Accepted is what RFC 8259 accepts as an object, in valid UTF-8, no escape of a lone surrogate,
// at most kJsonDepthMax deep and kShapeFieldsMax values. Everything else is "not JSON".
//
// Threads: one Shredder belongs to one thread. Shapes live as long as it does.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/part/column_format.h"
#include "store/scan.h"

namespace skald::store::part {

struct ValueSpan {
  std::uint32_t offset = 0, size = 0;  // in the line; of a string: between its quotes
};

struct JsonShape {
  Pieces pieces;
  Shape shape;  // kind kJson, fields, id
};

class Shredder {
 public:
  static constexpr std::uint32_t kNoShape = 0xFFFFFFFF;

  Shredder();
  ~Shredder();

  // The shape's number, with its values appended to `spans`; kNoShape (and nothing appended) if the
  // line is not JSON or would be one shape too many.
  std::uint32_t shred(std::string_view line, std::vector<ValueSpan>& spans);
  const JsonShape& shape(std::uint32_t number) const;
  std::size_t shapes_count() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Parses one line in full. Nothing if it is not JSON as defined above.
std::optional<JsonShape> parse_json_shape(std::string_view line, std::vector<ValueSpan>* spans);

// The shape whose literals these are. Nothing if they are not those of a JSON object, or the
// syntaxes do not fit.
std::optional<JsonShape> shape_of_literals(Pieces pieces,
                                           const std::vector<Field::Syntax>& syntaxes);

// Undoes the escapes of a valid JSON string body.
void unescape_json(std::string_view raw, std::string& out);

}  // namespace skald::store::part
