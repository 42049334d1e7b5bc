// START HERE. A store of precomputed products: open it, look entries up by key.
//
//   auto store = lutdb::Store::Open("model.lut", {});
//   auto entries = (*store)->Get("lm_head[5, 0:4, :]");
//
// Thread-safe after Open. Errors are absl::Status with one clear line; nothing is printed, thrown
// or aborted because of what a file holds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/options.h"
#include "lutdb/types.h"

namespace lutdb {

struct TableInfo {
  std::string name;
  uint32_t inputs = 0;
  uint32_t neurons = 0;
  uint32_t chunk = 0;  // inputs per chunk; 0 when chunks are given as lists
  uint32_t chunks = 0;
  uint32_t codes = 0;  // of the largest chunk
  std::string coding;  // "signed", "unsigned", "learned", "codebook" or "lists"
  int input_bits = 0;  // largest of the table
  EntryType entry = EntryType::kI16;
  Layout layout = Layout::kTile;
  Codec codec = Codec::kSmallest;
  bool mirror = false;
  uint64_t records = 0;
  uint64_t raw_bytes = 0;
  uint64_t stored_bytes = 0;
};

struct StoreInfo {
  uint32_t format_version = 0;
  std::string architecture;
  std::string source_format;
  std::string source_name;
  bool integer_only = false;
  bool has_tokenizer = false;
  Hash128 content_hash;  // of the base generation; Store::ContentHash has the edits in it
  Hash128 graph_hash;
  std::vector<TableInfo> tables;
  uint64_t raw_bytes = 0;             // addressable, decoded
  uint64_t stored_bytes = 0;          // on disk: table records and kept source weights
  uint64_t weights_stored_bytes = 0;  // of stored_bytes, the kept source weights
  double derived_fraction = 0;        // share of entries that follow from slopes
  uint32_t generation = 1;            // of the base: raised by each bake
  std::vector<std::string> branches;
  uint64_t ranges = 0;
  uint64_t ranges_resumed = 0;
  uint64_t arena_file_bytes = 0;  // allocated on disk by the arena
};

// A block of entries: neurons x chunks x codes, always three-dimensional.
struct Lookup {
  std::string table;
  std::vector<uint32_t> neurons;  // index lists, as selected
  std::vector<uint32_t> chunks;
  std::vector<uint32_t> codes;
  EntryType entry = EntryType::kI16;
  std::vector<float> step;  // one per selected neuron; real value = entry x step x input scale
  // Level values for input scale 1, one for each input of a chunk, of each selected code of the
  // first selected chunk. Where others have other levels, chunk_levels has those of each code of
  // the first chunk, then of the next; but not those of more than 2^24.
  std::vector<std::vector<double>> levels;
  bool levels_differ = false;
  std::vector<std::vector<double>> chunk_levels;
  std::vector<int16_t> entries;  // neuron-major, then chunk, then code

  // Empty when they are not there.
  std::vector<double> levels_of(size_t c, size_t k) const {
    if (!levels_differ) return levels[k];
    return chunk_levels.empty() ? std::vector<double>() : chunk_levels[c * codes.size() + k];
  }

  int16_t at(size_t n, size_t c, size_t k) const {
    return entries[(n * chunks.size() + c) * codes.size() + k];
  }
  double value(size_t n, size_t c, size_t k) const { return double{step[n]} * at(n, c, k); }
};

// One entry's key, for batches.
struct EntryKey {
  uint32_t table = 0;  // index into StoreInfo::tables
  uint32_t neuron = 0;
  uint32_t chunk = 0;
  uint32_t code = 0;
};

class Store {
 public:
  // NotFound, DataLoss (damaged), Unimplemented (newer format version), FailedPrecondition
  // (half-built), NotFound for an unknown `at`.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path,
                                                     const OpenStoreOptions& options);
  ~Store();
  Store(const Store&) = delete;

  const StoreInfo& info() const;  // as of Open

  // Of the newest commit of the ref the store was opened at, with its edits: reads every cell they
  // touch.
  absl::StatusOr<Hash128> ContentHash() const;
  // The newest commit of that ref ("": the build), and how many entries differ there from the base.
  struct Head {
    std::string commit;
    uint64_t edited_entries = 0;
  };
  absl::StatusOr<Head> head() const;

  // Entries by address: table[neurons, chunks, codes] with NumPy indexing (integer, a:b, a:b:s, :,
  // negative from the end; omitted trailing indices mean all), of one commit: the newest one at the
  // time of the call. InvalidArgument when malformed or when the chunks selected differ in number
  // of codes, NotFound for an unknown table, OutOfRange for an index that does not exist,
  // ResourceExhausted when the selection has more than 2^31 entries or memory cannot hold it,
  // DataLoss when a record is damaged.
  absl::StatusOr<Lookup> Get(const std::string& address) const;

  // A batch of single entries in any order, one per key, of one commit. InvalidArgument unless
  // entries has keys.size() elements, OutOfRange for a key that does not exist, DataLoss when a
  // record is damaged.
  absl::Status GetEntries(absl::Span<const EntryKey> keys, absl::Span<int16_t> entries) const;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
