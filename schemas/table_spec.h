// What a table is, as plain data: shape, coding and how it is kept. Persisted in the manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lutdb/types.h"

namespace lutdb {

inline constexpr uint32_t kNone = 0xffffffff;  // no tensor, no table, no value

// The level set of one input. With Grid::kLearned the levels are those of one of the table's own
// sets; `bits` then says how many there may be, at most 8.
struct GridLevels {
  Grid grid = Grid::kSigned;
  uint8_t bits = 8;      // 1..16
  uint32_t set = kNone;  // kLearned: index into TableSpec::level_sets
  bool operator==(const GridLevels&) const = default;
};

// Levels are fixed-point integers of at most this magnitude: a slope, rounded to an integer, is
// then off by at most a quarter of an entry, and sums of a chunk fit 32 bits as they do for a grid.
inline constexpr int32_t kLearnedLevelMax = 32767;
inline constexpr int kLearnedBitsMax = 8;
inline constexpr uint32_t kRotationMax = 4096;  // inputs that one block of a rotation mixes

// Levels found from data, with the thresholds between them: an input x takes the level whose number
// is the count of thresholds <= x / scale.
struct LevelSet {
  std::vector<int32_t> levels;    // 2 to 256, ascending, none twice
  std::vector<float> thresholds;  // one less, ascending, finite
  bool operator==(const LevelSet&) const = default;
};

// Codewords found from data: a chunk of `inputs` consecutive inputs takes the nearest one. A table
// without a codebook has no inputs here.
struct Codebook {
  uint32_t inputs = 0;
  std::vector<int32_t> levels;  // codewords x inputs
  bool operator==(const Codebook&) const = default;
};

// One chunk given explicitly: its inputs in order (may repeat across chunks) and their levels.
struct ChunkSpec {
  std::vector<uint32_t> inputs;
  std::vector<GridLevels> levels;  // as long as inputs
  bool operator==(const ChunkSpec&) const = default;
};

// One table of a store. `chunks` empty means consecutive chunks of `chunk` inputs with `levels`
// each, the last one padded with zero-weight inputs.
struct TableSpec {
  uint32_t id = 0;
  std::string name;      // Hugging Face name without ".weight"
  uint32_t inputs = 0;   // K
  uint32_t neurons = 0;  // N
  EntryType entry = EntryType::kI16;
  Layout layout = Layout::kTile;
  Codec codec = Codec::kSmallest;  // the policy asked for; each record names its own
  bool mirror = false;             // delta and raw records, rows and the arena keep half the codes
  uint32_t chunk = 1;              // g
  GridLevels levels;
  std::vector<ChunkSpec> chunks;
  std::vector<LevelSet> level_sets;  // of inputs with learned levels
  Codebook codebook;                 // then `chunk` is its inputs, `levels` say the bits alone
  uint32_t rotation = 0;  // largest block of the inputs' Hadamard rotation, a power of two; 0: none
  // Edits were baked into rows of the code whose levels are all zero: they are no longer zero.
  bool free_zero = false;
  float fixed_scale = 0;           // input scale s; 0: chosen per vector
  bool shared_step = false;        // all neurons use one step, so that sums compare (integer-only)
  float learned_step = 0;          // of all neurons, where there are no weights to find steps from
  uint32_t weight_tensor = kNone;  // source weights, neurons x inputs; kNone: entries start as zero
  uint32_t bias_tensor = kNone;
  bool operator==(const TableSpec&) const = default;
};

// Element type of a kept source tensor.
enum class DType : uint8_t { kF32 = 1, kF16 = 2, kBF16 = 3 };
inline constexpr int DTypeBytes(DType type) { return type == DType::kF32 ? 4 : 2; }

// A kept source tensor. Vectors have rows = 1. Stored in the `weights` family as records of
// rows_per_record consecutive rows, in the source's own element type.
struct TensorSpec {
  uint32_t id = 0;
  std::string name;
  DType dtype = DType::kF32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  uint32_t rows_per_record = 1;
  bool operator==(const TensorSpec&) const = default;
};

}  // namespace lutdb
