#pragma once
// The bounds of sending, each with its reason.

#include <cstddef>
#include <cstdint>

#include "proto/base/clock.h"

namespace skald::agent {

// Sealed batches that wait for an answer, compressed. Reading pauses beyond: the files themselves
// are the queue. Four default batches compress to about half a megabyte.
constexpr std::size_t kQueueBytesMax = 512U << 10;
constexpr std::size_t kQueueBatchesMax = 64;
// Of these, one tenant's share once several send, beside what it has under way. A tenant whose
// pushes fail (429) gets no more until they succeed, so that it does not take the others' room:
// what feeds it is read no further, the others are.
constexpr std::size_t kTenantQueueBytesMax = kQueueBytesMax / 4;
// All tenants together, since each may have a batch waiting whatever the others have. Beyond,
// nothing is read.
constexpr std::size_t kTenantsQueueBytesMax = 4U << 20;
// Answers to a push are empty or an error text; the list of marks is larger.
constexpr std::size_t kAnswerBytesMax = 16U << 20;
constexpr std::size_t kErrorTextMax = 512;  // of an answer, in our log
constexpr int kRedirectsMax = 5;
// A server that says "come back in a year" is asked again after this.
constexpr std::int64_t kRetryAfterMaxNs = 600 * base::kNsPerSecond;

}  // namespace skald::agent
