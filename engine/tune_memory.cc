#include "engine/tune_memory.h"

#include <algorithm>

namespace lutdb {
namespace {

// Bytes an entry, or an edit of the commit. Measured by tune_memory_test and, with a store
// beneath, on 16 million entries.
constexpr uint64_t kFrozen = 10;    // entry, initial, stored
constexpr uint64_t kTraining = 22;  // these, two moments, best
constexpr uint64_t kResuming = 4;   // the entry as it is read
constexpr uint64_t kSearching = 8;  // start, best of the trials before
constexpr uint64_t kScratch = 8;    // gradient and correction of a chunk, per thread
constexpr uint64_t kEdit = 20;
constexpr uint64_t kCommit = 52;  // edits, changes, overlay, patches and what RocksDB copies
constexpr uint64_t kEdited = 16;  // an edit that the branch has, beneath the commit

}  // namespace

uint64_t TunePeakBytes(const TuneSize& size, const TuneOptions& options, unsigned threads) {
  uint64_t training = size.trained * kTraining + size.frozen * kFrozen;
  if (options.search > 1) training += size.trained * kSearching;
  const uint64_t scratch = kScratch * std::min(threads * size.chunk_max, size.trained);
  if (!options.commit) return training + scratch;
  // A run that goes on has not made its scratch yet.
  training += std::max(size.trained * kResuming, scratch);
  const uint64_t edits =
      options.entries_max > 0 ? std::min(options.entries_max, size.trained) : size.trained;
  const uint64_t listing = (size.trained + size.frozen) * kFrozen + edits * kEdit;
  return std::max({training, listing, edits * kCommit + size.edited * kEdited});
}

}  // namespace lutdb
