#include "agent/ship/sender.h"

namespace skald::agent {
namespace {

// A reader of just this answer: an array of flat objects of strings and integers.
class MarksReader {
 public:
  explicit MarksReader(std::string_view text) : text_(text) {}

  base::Result<std::vector<StoredMark>> read() {
    std::vector<StoredMark> marks;
    if (!take('[')) return bad("an array");
    if (take(']')) return at_end(std::move(marks));
    do {
      StoredMark mark;
      if (!read_object(mark)) return bad("objects with file_id and end_offset");
      marks.push_back(std::move(mark));
    } while (take(','));
    if (!take(']')) return bad("']'");
    return at_end(std::move(marks));
  }

 private:
  base::Status bad(const char* wanted) const {
    return base::corrupt("the store's marks: expected " + std::string(wanted) + " at byte " +
                         std::to_string(at_));
  }
  base::Result<std::vector<StoredMark>> at_end(std::vector<StoredMark> marks) {
    skip_space();
    if (at_ != text_.size()) return bad("the end");
    return marks;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Ids and names have no escapes; a string with one is skipped, not understood.
  bool read_string(std::string& out) {
    if (!take('"')) return false;
    out.clear();
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') out.push_back(text_[at_++]);
      if (at_ < text_.size()) out.push_back(text_[at_++]);
    }
    if (at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  bool read_object(StoredMark& mark) {
    if (!take('{')) return false;
    bool has_end = false;
    do {
      std::string name, text;
      if (!read_string(name) || !take(':')) return false;
      skip_space();
      if (at_ < text_.size() && text_[at_] == '"') {
        if (!read_string(text)) return false;
      } else {
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') text += text_[at_++];
        if (text.empty()) return false;
      }
      if (name == "file_id") mark.file_id = text;
      if (name == "end_offset") {
        if (text.empty() || text.size() > 19) return false;
        for (const char c : text) {
          if (c < '0' || c > '9') return false;
          mark.end = mark.end * 10 + static_cast<std::uint64_t>(c - '0');
        }
        has_end = true;
      }
    } while (take(','));
    return take('}') && has_end && !mark.file_id.empty();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

base::Result<std::vector<StoredMark>> parse_marks(std::string_view json) {
  return MarksReader(json).read();
}

}  // namespace skald::agent
