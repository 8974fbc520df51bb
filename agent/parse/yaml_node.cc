#include "agent/parse/yaml_node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

#include "agent/parse/limits.h"
#include "proto/base/text_code.h"
#include "proto/model/labels.h"

namespace skald::agent {

namespace {

// Builds the tree from yaml-cpp's events. Of several errors the first stays.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view file) : file_(file) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.line = mark.line + 1;
    add(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return fail(mark.line + 1, "alias to an unfinished anchor");
    count_ += tree_size(found->second);
    if (count_ > kYamlNodesMax) return fail(mark.line + 1, "too many nodes");
    Node copy = found->second;
    copy.line = mark.line + 1;
    add(std::move(copy), 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Node::Kind::kScalar;
    node.quoted = tag == "!";
    node.line = mark.line + 1;
    node.scalar = value;
    add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::kSequence, mark.line + 1, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::kMap, mark.line + 1, anchor);
  }
  void OnMapEnd() override { close(); }

  base::Status status;
  Node root;

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    Node merge;  // of `<<`
  };

  static std::size_t tree_size(const Node& node) {
    std::size_t size = 1;
    for (const auto& item : node.items) size += tree_size(item);
    for (const auto& [key, value] : node.fields) size += tree_size(value);
    return size;
  }
  void fail(int line, std::string_view what) {
    if (!status.ok()) return;
    status = base::invalid_argument(file_ + ":" + std::to_string(line) + ": " + std::string(what));
  }
  void open(Node::Kind kind, int line, YAML::anchor_t anchor) {
    if (stack_.size() >= kYamlDepthMax) {
      fail(line, "nested too deeply");
      ++skipped_;
      return;
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.line = line;
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }
  void close() {
    if (skipped_ > 0) {
      --skipped_;
      return;
    }
    if (stack_.empty()) return;
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    merge_into(frame);
    add(std::move(frame.node), frame.anchor);
  }
  // `<<: *base` or a list of them: fields not given here are taken over.
  void merge_into(Frame& frame) {
    auto take = [&](const Node& from) {
      if (!from.is_map()) return fail(from.line, "`<<` needs a map or a list of maps");
      for (const auto& field : from.fields) {
        if (frame.node.find(field.first) == nullptr) frame.node.fields.push_back(field);
      }
    };
    if (frame.merge.is_sequence()) {
      for (const auto& item : frame.merge.items) take(item);
    } else if (!frame.merge.is_null()) {
      take(frame.merge);
    }
  }
  void add(Node node, YAML::anchor_t anchor) {
    if (skipped_ > 0) return;
    if (++count_ > kYamlNodesMax) return fail(node.line, "too many nodes");
    if (anchor != 0) anchors_[anchor] = node;
    if (stack_.empty()) {
      root = std::move(node);
      return;
    }
    Frame& top = stack_.back();
    if (top.node.is_sequence()) {
      top.node.items.push_back(std::move(node));
    } else if (!top.has_key) {
      if (!node.is_scalar() && !node.is_null()) return fail(node.line, "a key must be a scalar");
      top.has_key = true;
      top.key = node.is_null() ? "null" : node.scalar;
      top.key_line = node.line;
    } else {
      top.has_key = false;
      add_field(top, std::move(node));
    }
  }
  void add_field(Frame& top, Node node) {
    node.key_line = top.key_line;
    if (top.key == "<<") {
      top.merge = std::move(node);
      return;
    }
    if (top.node.find(top.key) != nullptr) {
      return fail(top.key_line, "key `" + top.key + "` is given twice");
    }
    top.node.fields.emplace_back(std::move(top.key), std::move(node));
    top.key.clear();
  }

  std::string file_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::size_t count_ = 0;
  int skipped_ = 0;
};

void emit_scalar(const Node& node, std::string& out) {
  if (node.is_null()) {
    out += "null";
    return;
  }
  bool plain = !node.quoted && !node.scalar.empty();
  for (char c : node.scalar) {
    if (static_cast<unsigned char>(c) < 0x20) plain = false;
  }
  if (plain) {
    out += node.scalar;
    return;
  }
  out += '"';
  for (char c : node.scalar) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\x";
      base::append_hex(out, c);
    } else {
      out += c;
    }
  }
  out += '"';
}

void emit(const Node& node, int indent, std::string& out) {
  const std::string pad(static_cast<std::size_t>(indent) * 2, ' ');
  if (node.is_map()) {
    for (const auto& [key, value] : node.fields) {
      out += pad;
      Node key_node;
      key_node.kind = Node::Kind::kScalar;
      key_node.scalar = key;
      key_node.quoted = !model::is_label_name(key);
      emit_scalar(key_node, out);
      out += ':';
      const bool block = (value.is_map() && !value.fields.empty()) ||
                         (value.is_sequence() && !value.items.empty());
      out += block ? '\n' : ' ';
      emit(value, indent + 1, out);
    }
    if (node.fields.empty()) out += "{}\n";
  } else if (node.is_sequence()) {
    for (const auto& item : node.items) {
      const bool block =
          (item.is_map() && !item.fields.empty()) || (item.is_sequence() && !item.items.empty());
      out += pad;
      out += block ? "-\n" : "- ";
      emit(item, indent + 1, out);
    }
    if (node.items.empty()) out += "[]\n";
  } else {
    emit_scalar(node, out);
    out += '\n';
  }
}

}  // namespace

const Node* Node::find(std::string_view key) const noexcept {
  for (const auto& [name, value] : fields) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string_view Node::kind_name() const noexcept {
  switch (kind) {
    case Kind::kNull: return "nothing";
    case Kind::kScalar: return "a single value";
    case Kind::kSequence: return "a list";
    case Kind::kMap: return "a map";
  }
  return "";
}

base::Result<Node> parse_yaml(std::string_view text, std::string_view file_name) {
  if (text.size() > kConfigBytesMax) {
    return base::invalid_argument(std::string(file_name) + ": larger than 8 MiB");
  }
  TreeBuilder builder(file_name);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && builder.status.ok()) {
      TreeBuilder second(file_name);
      if (parser.HandleNextDocument(second) && !second.root.is_null()) {
        return base::invalid_argument(std::string(file_name) + ": holds more than one document");
      }
    }
  } catch (const YAML::Exception& error) {
    return base::invalid_argument(std::string(file_name) + ":" +
                                  std::to_string(error.mark.line + 1) + ": " + error.msg);
  } catch (const std::exception& error) {
    return base::invalid_argument(std::string(file_name) + ": " + error.what());
  }
  if (!builder.status.ok()) return builder.status;
  return std::move(builder.root);
}

std::string to_yaml(const Node& node) {
  std::string out;
  emit(node, 0, out);
  return out;
}

}  // namespace skald::agent
