// A network whose tables can be trained: entries as real numbers, the ops of its graph, and the
// gradient of a loss by every entry. No storage: `tune_bind` makes one from a store, tests and
// experiments make their own.
//
// Forward is look up and add, like the engine's, but with entries before rounding. Backward: an
// entry that was looked up takes the gradient of its neuron's output; what flows on to the inputs
// of the table is the local slope of its entries, the difference between the code taken and its
// neighbour on the side where the input lies, over their distance. The rounding of inputs to levels
// is passed straight through. Rejected: interpolating between codes in forward, because what is
// trained is then not what runs.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "schemas/graph.h"

namespace lutdb {

// One input position of a chunk: code = sum over axes of level index x place.
struct TuneAxis {
  uint32_t input = kNone;  // of the table; kNone: padding
  uint32_t place = 1;
  uint32_t levels = 1;
  uint32_t first_value = 0;  // of its levels in TuneTable::level_values
};

// Codes of one input vector and, returned, the scale s that its sums are multiplied by. sums: where
// x are the outputs of a table with stored entries, their exact integers; else null.
using TuneCoder = std::function<float(const float* x, const int32_t* sums, uint16_t* codes)>;

// Integer-only networks: how thresholds on one sum choose a part of a chunk's code.
struct TuneLane {
  uint32_t input = 0;
  uint32_t chunk = 0;
  std::vector<float> at;       // thresholds in units of x, ascending
  std::vector<uint16_t> code;  // one more than thresholds
};

struct TuneTable {
  uint32_t inputs = 0;
  uint32_t neurons = 0;
  std::vector<TuneAxis> axes;        // chunk after chunk
  std::vector<uint32_t> chunk_axis;  // chunks + 1: the first axis of each chunk
  std::vector<uint32_t> chunk_row;   // chunks + 1: the first row of each chunk, one row per code
  std::vector<float> level_values;   // input value of each level at scale 1, ascending per axis
  std::vector<TuneLane> lanes;       // instead of level_values, behind thresholds
  std::vector<float> bias;           // per neuron, or empty
  std::vector<int32_t> whole_bias;   // integer-only networks: added to stored sums; or empty
  std::vector<float> unit;           // per neuron: real value of an entry of 1 (the step)
  int32_t limit = 32767;             // entries stay within +-limit
  std::vector<float> entries;        // rows x neurons, real values
  std::vector<float> initial;        // the same before training
  // As they would be stored. When not empty, forward uses these, by the engine's own arithmetic and
  // to the bit, instead of `entries`.
  std::vector<int16_t> stored;
  bool trained = true;  // false: --freeze
  // Typical size of what the table gives, in the unit of its entries, so that learning rates and
  // penalties need no units.
  float gain = 1;
  std::function<TuneCoder()> coders;  // one coder per thread

  uint32_t chunks() const { return static_cast<uint32_t>(chunk_axis.size() - 1); }
  uint32_t rows() const { return chunk_row.back(); }
  // The entry as it would be stored, rounded to the nearest (ties to even) and held in the limit.
  int32_t Rounded(size_t row, uint32_t neuron) const;
  // Fills `stored` from `entries`.
  void Round();
};

// kTable, kActivation, kScaleShift, kRmsNorm, kLayerNorm, kAdd, kMultiply and kSoftmax.
struct TuneOp {
  OpKind kind = OpKind::kTable;
  std::vector<uint32_t> inputs;  // values
  uint32_t output = 0;           // value
  uint32_t table = kNone;
  Activation activation = Activation::kIdentity;
  float alpha = 0;
  float epsilon = 0;
  std::vector<float> weight, shift;
};

struct TuneNetwork {
  std::vector<uint32_t> widths;  // per value
  std::vector<TuneOp> ops;       // in order
  std::vector<TuneTable> tables;
  uint32_t input = 0;
  uint32_t output = 0;  // value the loss reads: before a final softmax
};

// Codes and scales of one table op for one row.
struct TuneCodes {
  std::vector<uint16_t> codes;  // one per chunk
  float scale = 1;
};

// What one row needs on its way forward and back. One per thread; reused from row to row.
class TunePass {
 public:
  explicit TunePass(const TuneNetwork& network);

  // Codes of an op that reads the network's input, made once per data set rather than per pass.
  // `codes` must outlive the passes.
  struct Given {
    const uint16_t* codes = nullptr;
    float scale = 1;
  };

  // x: the network's input; given: one per op, null codes where they are to be made from the
  // input. Leaves every value of the row in place. y() is the output.
  void Forward(const float* x, const std::vector<Given>& given);
  const float* y() const { return Value(network_.output); }
  const float* Value(uint32_t value) const { return numbers_.data() + offset_[value]; }

  // From the gradient of the loss by y() to the gradients by every table's sums; after Forward.
  // sums_gradient(op) is then scale x gradient by the output of that table op, which is the
  // gradient by each entry it looked up.
  void Backward(const float* y_gradient);
  const float* sums_gradient(uint32_t op) const { return sums_gradient_.data() + sums_offset_[op]; }
  const uint16_t* codes(uint32_t op) const { return codes_[op]; }
  float scale(uint32_t op) const { return scales_[op]; }

 private:
  float* Gradient(uint32_t value) { return gradients_.data() + offset_[value]; }
  void TableForward(uint32_t op, const std::vector<Given>& given);
  void AddStored(uint32_t op, float* out);
  void LaneBackward(uint32_t op);
  void TableBackward(uint32_t op);
  void NormBackward(const TuneOp& op);

  const TuneNetwork& network_;
  std::vector<size_t> offset_;              // per value
  std::vector<float> numbers_, gradients_;  // of all values
  std::vector<bool> needs_;                 // values whose gradient a trained table depends on
  std::vector<size_t> sums_offset_;         // per op
  std::vector<float> sums_gradient_;
  std::vector<TuneCoder> coders_;  // per op
  std::vector<std::vector<uint16_t>> own_codes_;
  std::vector<const uint16_t*> codes_;  // per op
  std::vector<float> scales_;
  std::vector<int32_t> sums_;            // per table op, like sums_gradient_
  std::vector<const int32_t*> sums_of_;  // per value; null when it is no table's output
};

}  // namespace lutdb
