// What a table is, as plain data: shape, coding and how it is kept. Persisted in the manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lutdb/types.h"

namespace lutdb {

inline constexpr uint32_t kNone = 0xffffffff;  // no tensor, no table, no value

// The level set of one input.
struct GridLevels {
  Grid grid = Grid::kSigned;
  uint8_t bits = 8;  // 1..16
  bool operator==(const GridLevels&) const = default;
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
  float fixed_scale = 0;           // input scale s; 0: chosen per vector
  bool shared_step = false;        // all neurons use one step, so that sums compare (integer-only)
  uint32_t weight_tensor = kNone;  // source weights, neurons x inputs
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
