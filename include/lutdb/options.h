// Options of the library. Behaviour first, performance second. Sizes are bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lutdb/types.h"

namespace lutdb {

// How far a long piece of work has come. Called from one thread at a time, a few times a second.
struct Progress {
  const char* stage = "";     // "steps", "records", "ingest", "verify", ...
  uint64_t done = 0;          // of total, in `unit`
  uint64_t total = 0;         // 0: not known
  uint64_t bytes_done = 0;    // bytes of entries made or of files read so far
  uint64_t bytes_stored = 0;  // bytes written to disk so far
};
using ProgressFn = std::function<void(const Progress&)>;

struct OpenStoreOptions {
  // Behaviour.
  std::string at = "main";  // branch, tag or commit to read
  // Performance.
  // Model only (Store reads records): memory for hot rows; 0: off, rows straight from RocksDB.
  uint64_t arena_bytes = kArenaDefault;
  uint64_t cache_bytes = 64 << 20;  // RocksDB's block cache
  unsigned threads = 0;             // 0: all cores

  static constexpr uint64_t kArenaDefault = ~uint64_t{0};  // a quarter of usable memory
};

// Where the levels of inputs come from: evenly spaced ones, or ones fitted to calibration data,
// with as many values on each level (kQuantile) or with the least squared error (kLearned).
enum class LevelsFrom : uint8_t { kGrid = 0, kQuantile = 1, kLearned = 2 };

struct TableSample;  // lutdb/calibration.h

struct BuildOptions {
  // Behaviour: these decide what is built, and are part of the plan.
  int input_bits = 8;  // 1..16
  Grid grid = Grid::kSigned;
  uint32_t chunk = 1;  // inputs looked up together
  EntryType entry = EntryType::kI16;
  Layout layout = Layout::kTile;
  Codec codec = Codec::kSmallest;
  bool mirror = false;
  bool integer_only = false;
  LevelsFrom levels = LevelsFrom::kGrid;
  bool rotate = false;        // inputs through block-Hadamard transforms, folded into the tables
  uint32_t codes = 0;         // codewords of a learned codebook per table; 0: a level per input
  uint64_t budget_bytes = 0;  // of entries; bits per table by what its coding loses; 0: input_bits
  // What tables see, from ObserveTables. Needed for learned levels, codebooks and budgets; with
  // evenly spaced levels, tables whose inputs are never negative get the unsigned grid.
  std::shared_ptr<const std::vector<TableSample>> calibration;
  std::string tokenizer_file;
  std::string graph_file;
  // Performance.
  unsigned threads = 0;       // 0: all cores
  uint64_t memory_bytes = 0;  // 0: a quarter of usable memory
  ProgressFn progress;
  const std::atomic<bool>* cancel = nullptr;  // set: stop soon, keep what is finished
};

}  // namespace lutdb
