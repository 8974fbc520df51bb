#pragma once
// Collects what the decoders of the single forms find. Private to the room.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "proto/wire/push_decoder.h"

namespace skald::wire {

// Label texts repeat in every request of an agent; parsing them is not cheap.
class LabelsCache {
 public:
  const base::Result<model::Labels>& parse(std::string_view text);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, base::Result<model::Labels>, Hash, std::equal_to<>> parsed_;
};

class PushBuilder {
 public:
  void reset();
  DecodedPush& result() noexcept { return result_; }

  // A new stream without labels yet; entries go to the newest one. False: kStreamsMax.
  bool begin_stream();
  // Before each entry: small ones would fill memory many times the size of the body.
  base::Status check_room() const {
    if (entries_ < kEntriesMax && pairs_ < kPairsMax) [[likely]]
      return {};
    return base::resource_exhausted("more than " + std::to_string(kEntriesMax) + " entries or " +
                                    std::to_string(kPairsMax) +
                                    " metadata pairs in one request: send smaller batches");
  }
  model::EntryView& add_entry() {
    ++entries_;
    return result_.batch.streams.back().entries.emplace_back();
  }
  // Ends the newest stream. With labels that cannot be read it is dropped and reported.
  void end_stream(std::string_view labels_text);
  void end_stream(model::Labels labels) { result_.batch.streams.back().labels = std::move(labels); }
  void refuse_stream(std::string text);

  // Metadata that lives as long as the batch.
  const model::Labels* keep(model::Labels labels) {
    pairs_ += labels.size();
    return &metadata_.emplace_back(std::move(labels));
  }
  // Text that lives as long as the batch.
  std::string_view keep_text(std::string text) { return texts_.emplace_back(std::move(text)); }

 private:
  DecodedPush result_;
  LabelsCache cache_;
  std::deque<model::Labels> metadata_;
  std::deque<std::string> texts_;
  std::size_t entries_ = 0, pairs_ = 0;
  std::vector<std::vector<model::EntryView>> spare_;  // capacity of earlier batches
};

base::Status decode_protobuf(std::string_view body, PushBuilder& builder);

// simdjson's parser, kept between requests.
class JsonPushParser {
 public:
  JsonPushParser();
  ~JsonPushParser();
  // `padded` has at least 64 readable bytes behind it. Views borrow from `padded` or the parser.
  base::Status decode(std::string_view padded, bool legacy, PushBuilder& builder);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

base::Status decode_otlp_protobuf(std::string_view body, std::int64_t now_ns, PushBuilder& builder);
base::Status decode_otlp_json(std::string_view padded, std::int64_t now_ns, PushBuilder& builder);

}  // namespace skald::wire
