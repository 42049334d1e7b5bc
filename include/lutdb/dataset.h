// Rows of numbers with what a network should answer to them: what `eval` measures and `tune`
// learns.
//
// Read whole, as f32, from CSV, idx images, .npy arrays or recordings. Nothing is rescaled behind
// the network's back: how inputs become levels belongs to the graph and its tables, so a data set
// holds the numbers of the file (pixels as pixel / 255, recordings as the log spectra below).
// Rejected: guessing headers, types and class orders. What a file does not say is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lutdb {

class Model;

// What a network takes and answers, and so what a data set for it must hold.
struct DataShape {
  uint32_t inputs = 0;  // numbers per row
  // Classes told apart (at least 2), or 1: one real value. 0: class indices of any number, for an
  // integer-only network whose answer is the index alone.
  uint32_t outputs = 0;
  std::vector<std::string> input_names;  // as the graph names them; empty: it does not
  std::vector<std::string> class_names;  // likewise
};
DataShape ShapeOf(const Model& model);

// How recordings become rows: `frames` windows of `window` samples, evenly spaced from the first
// sample to the last; of each the power spectrum (Hann window), summed into `bands` triangular
// bands that are evenly spaced in mel (1127 ln(1 + f / 700 Hz)) between 0 and half the sample rate;
// ln(1 + power), where white noise of variance v, in steps of 16 bits, has power v times the
// band's bins; less the mean of the recording's values. A row is frame after frame.
struct WavFrontEnd {
  uint32_t frames = 20;   // 1 .. 1024
  uint32_t bands = 16;    // 1 .. 256
  uint32_t window = 256;  // a power of two, 32 .. 4096; shorter recordings are padded with silence
};

// Exactly one of csv, images, npy_inputs and wav is set.
struct DataOptions {
  std::string csv;
  std::string target;  // CSV: the column to predict
  // CSV: the inputs in order. Empty: the graph's input_names; else every column but the target
  // (and what the target is derived from), in the order of the file, then the derived ones.
  std::vector<std::string> columns;
  // CSV: further columns, "name=a/b" with / * + - between columns or numbers, or "name=a==text",
  // which is 1 where the field is that text, else 0. Later ones may use earlier ones.
  std::vector<std::string> derive;
  bool header = true;  // CSV: the first line names the columns; otherwise c1, c2, ...
  // CSV: leave out rows in which a field in use is missing (empty, NA, N/A, NaN, null or ?).
  // Otherwise such a row is an error.
  bool drop_incomplete = false;

  std::string images, labels;           // idx files, plain or gzipped
  std::string npy_inputs, npy_targets;  // [rows, inputs]; [rows] or [rows, outputs]
  std::string wav;                      // a folder or a tar of CLASS_..._NUMBER.wav
  WavFrontEnd front_end;

  // The classes in the order of the outputs. Empty: the graph's class_names; else the numbers
  // 0 .. outputs-1 if the file has a 0 and no other; else the file's classes in ascending order,
  // which must then be as many as the outputs and no numbers that count from 0.
  std::vector<std::string> classes;
  uint64_t bytes_max = 0;  // of the rows in memory; 0: a quarter of the usable memory
};

struct Dataset {
  std::string source;  // path, for messages
  size_t rows = 0;
  uint32_t width = 0;                    // inputs per row
  std::vector<std::string> input_names;  // of the columns; empty where the format has none
  std::vector<float> inputs;             // rows x width, all finite

  // Either one class index per row, below class_names.size() where there are names...
  bool has_classes = false;
  std::vector<uint32_t> labels;
  std::vector<std::string> class_names;
  // ...or target_width real values per row, all finite.
  uint32_t target_width = 0;
  std::vector<float> targets;

  // What a split keeps in proportion: for recordings, the name up to the last '_' (digit and
  // speaker). Empty: nothing.
  std::vector<uint32_t> strata;
  uint64_t dropped_rows = 0;  // incomplete ones

  absl::Span<const float> row(size_t i) const { return {inputs.data() + i * width, width}; }
  absl::Span<const float> target(size_t i) const {
    return {targets.data() + i * target_width, target_width};
  }
};

// Errors are one line and name the file, and the line and column where there are any.
// InvalidArgument: the options contradict each other or the file (unknown column, wrong width,
// class order not given); NotFound: no such file; DataLoss: ragged rows, missing values, NaN,
// infinities, unknown classes, damage; ResourceExhausted: more than bytes_max.
absl::StatusOr<Dataset> LoadDataset(const DataOptions& options, const DataShape& shape);

// Rows of a data set, by index.
struct RowSplit {
  std::vector<uint32_t> train, valid;
};
// Holds out round(fraction x rows) rows, chosen by the seed alone; within each of the strata where
// there are any. Both lists ascend. InvalidArgument unless 0 < fraction < 1 leaves a row on either
// side.
absl::StatusOr<RowSplit> SplitRows(const Dataset& data, double valid_fraction, uint64_t seed);

// The numbers 0 .. count-1 in an order chosen by the seed, the same on every machine.
std::vector<uint32_t> ShuffledRows(uint32_t count, uint64_t seed);

}  // namespace lutdb
