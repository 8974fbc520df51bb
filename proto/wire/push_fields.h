#pragma once
// Field numbers of the protobuf push request, as documented in PUSH.md. Shared by encoder and
// decoder; tests/proto/wire states them once more for libprotobuf.

namespace skald::wire {

enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

enum RequestField : unsigned { kRequestStreams = 1, kRequestMarks = 100 };
enum StreamField : unsigned { kStreamLabels = 1, kStreamEntries = 2, kStreamLines = 101 };
enum LinesField : unsigned { kLinesText = 1, kLinesNotes = 2 };
enum EntryField : unsigned {
  kEntryTime = 1,
  kEntryLine = 2,
  kEntryMetadata = 3,
  kEntryTimeInLine = 101
};
enum TimeField : unsigned { kTimeSeconds = 1, kTimeNanos = 2 };
enum PairField : unsigned { kPairName = 1, kPairValue = 2 };
enum MarkField : unsigned { kMarkAgentId = 1, kMarkFileId = 2, kMarkStart = 3, kMarkEnd = 4 };

}  // namespace skald::wire
