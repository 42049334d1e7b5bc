// How entries move: Adam on the entries that a batch looked up, and penalties that spread what was
// learned to neighbouring codes and hold it near where it began.
//
// The penalties are, over the corrections d = (entry - initial entry) / gain of one table,
//   smooth x sum (d[code] - d[next code])^2           next: one level up, along each axis
//   curve  x sum (d[code-1] - 2 d[code] + d[code+1])^2
//   near   x sum d[code]^2
// divided by the number of training rows, so that a penalty weighs like that many rows however long
// the training is. With a penalty every entry of a chunk moves at every step, since what matters is
// what codes that were never looked up take over from their neighbours; without one only the
// entries looked up are touched, each with its own count for Adam's bias correction.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tune_network.h"

namespace lutdb {

struct TunePenalties {
  float smooth = 0;
  float curve = 0;
  float near = 0;
  bool any() const { return smooth > 0 || curve > 0 || near > 0; }
  bool operator==(const TunePenalties&) const = default;
};

// Adam's moments for one table. Plain data, kept in checkpoints.
struct TuneMoments {
  std::vector<float> first, second;  // like TuneTable::entries
  std::vector<uint32_t> count;       // per row: updates so far
  void Reset(const TuneTable& table);
};

struct TuneBatch {
  size_t rows = 0;
  const uint16_t* codes = nullptr;   // rows x chunks
  const float* gradients = nullptr;  // rows x neurons: of the batch's loss, by each sum
};

struct TuneUpdateOptions {
  float learning_rate = 0;  // in units of the table's gain
  TunePenalties penalties;
  double training_rows = 1;  // the penalties' divisor
};

// Scratch of one thread.
class TuneScratch {
 public:
  // One update of one chunk from one batch (or several, for tables that several ops use). Entries
  // stay within the limit. Reads and writes nothing of other chunks.
  void UpdateChunk(TuneTable& table, TuneMoments& moments, uint32_t chunk,
                   const std::vector<TuneBatch>& batches, const TuneUpdateOptions& options);

 private:
  void AddPenalties(const TuneTable& table, uint32_t chunk, const TuneUpdateOptions& options);

  std::vector<float> gradient_;    // codes x neurons of the chunk
  std::vector<float> correction_;  // likewise
  std::vector<uint8_t> touched_;   // per code
  std::vector<uint32_t> codes_;    // touched ones, in order
};

}  // namespace lutdb
