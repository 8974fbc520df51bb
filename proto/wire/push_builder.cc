#include "proto/wire/push_builder.h"

namespace skald::wire {

const base::Result<model::Labels>& LabelsCache::parse(std::string_view text) {
  const auto found = parsed_.find(text);
  if (found != parsed_.end()) return found->second;
  if (parsed_.size() >= kLabelsCacheMax) parsed_.clear();
  base::Result<model::Labels> labels =
      text.size() > kLabelsTextMax
          ? base::Result<model::Labels>(base::invalid_argument(
                "labels longer than " + std::to_string(kLabelsTextMax) + " bytes"))
          : model::parse_labels(text);
  return parsed_.emplace(std::string(text.substr(0, kLabelsTextMax + 1)), std::move(labels))
      .first->second;
}

void PushBuilder::reset() {
  for (model::PushStream& stream : result_.batch.streams) {
    if (spare_.size() >= 64 || stream.entries.capacity() * sizeof(model::EntryView) > kKeptBytesMax)
      break;
    stream.entries.clear();
    spare_.push_back(std::move(stream.entries));
  }
  result_.batch.streams.clear();
  result_.batch.marks.clear();
  result_.batch.body.reset();
  result_.any_stream = false;
  result_.refused.clear();
  result_.refused_entries = result_.refused_bytes = 0;
  result_.decoded_bytes = 0;
  entries_ = pairs_ = 0;
  metadata_.clear();
  texts_.clear();
}

bool PushBuilder::begin_stream() {
  result_.any_stream = true;
  if (result_.batch.streams.size() >= kStreamsMax) return false;
  model::PushStream& stream = result_.batch.streams.emplace_back();
  if (!spare_.empty()) {
    stream.entries = std::move(spare_.back());
    spare_.pop_back();
  }
  return true;
}

void PushBuilder::end_stream(std::string_view labels_text) {
  const base::Result<model::Labels>& labels = cache_.parse(labels_text);
  if (labels.ok()) return end_stream(model::Labels(*labels));
  refuse_stream("error parsing labels '" + std::string(labels_text.substr(0, 1024)) +
                "' with error: " + std::string(labels.status().message()));
}

void PushBuilder::refuse_stream(std::string text) {
  model::PushStream& stream = result_.batch.streams.back();
  result_.refused_entries += stream.entries.size();
  for (const model::EntryView& entry : stream.entries) result_.refused_bytes += entry.line.size();
  if (result_.refused.size() < kRefusedTextsMax) result_.refused.push_back(std::move(text));
  stream.entries.clear();
  if (spare_.size() < 64) spare_.push_back(std::move(stream.entries));
  result_.batch.streams.pop_back();
}

}  // namespace skald::wire
