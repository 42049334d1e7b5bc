// Which records an answer was made of.
//
//   auto model = lutdb::Model::Open("digits.lut", {});
//   lutdb::Explainer explainer(**model);
//   auto explanation = explainer.Row(pixels, {.table = "output"});
//
// A neuron's value is scale x step x acc + bias, and acc is the sum of one entry per chunk: so
// every chunk's share of an answer is a number in the store, with an address, and nothing is
// estimated. Goals: what is reported adds up exactly, and names what may be looked at and changed.
// Rejected: attributions through the whole network (gradients, sampled values), which add up to
// nothing that can be edited; ask for the tables one after the other instead.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/model.h"

namespace lutdb {

struct ExplainOptions {
  std::string table{};              // empty: the table that the answer comes from, the last one
  std::vector<uint32_t> neurons{};  // explained besides the one with the largest value
  uint32_t top = 10;                // contributions listed per neuron, the largest; 0: all
  bool blame = true;                // ask the history which commit set each listed entry
};

// What one chunk added to one neuron.
struct Contribution {
  uint32_t chunk = 0;
  std::vector<uint32_t> inputs;  // of the chunk, in order; padding beyond the last input left out
  uint32_t code = 0;
  std::vector<int32_t> levels;  // that the code stands for, one per position, padding included
  std::string address;          // table[neuron, chunk, code]
  int16_t entry = 0;
  double value = 0;    // entry x step x scale
  double share = 0;    // |entry| in the sum of all |entry| of the neuron; 0 when they are all zero
  std::string commit;  // the newest one that set the entry; "": it follows from the weights
};

// One neuron. Over all of its chunks the entries add up to acc, and the numbers are those the model
// computed with: y has the bits of (scale * step) * float(acc) + bias in f32 (without the addition
// where the layer has no bias), or of acc + integer_bias in an integer-only network.
struct NeuronExplanation {
  uint32_t neuron = 0;
  bool largest = false;  // of the table's neurons the one with the largest value
  std::string text;      // language models, where the neuron is a token
  int32_t acc = 0;
  float step = 0;
  float bias = 0;
  bool has_bias = false;
  int32_t integer_bias = 0;  // integer-only networks
  double y = 0;              // exactly an f32, or an int32
  uint32_t chunks = 0;
  int64_t rest = 0;                         // sum of the entries that are not listed
  std::vector<Contribution> contributions;  // largest |entry| first; equals by chunk
};

struct Explanation {
  std::string table;
  std::string commit;  // that the model was read at; "": the build
  bool integer_only = false;
  float scale = 0;                         // of the inputs of the table
  uint32_t position = 0;                   // language models: of the last token fed
  std::vector<NeuronExplanation> neurons;  // the largest first, then as asked for, none twice
};

// Uses its model, which outlives it and does not run in reference mode; like it, for one thread at
// a time. What it runs is a run of the model: a language model's context is emptied before and
// after.
class Explainer {
 public:
  explicit Explainer(Model& model);
  ~Explainer();
  Explainer(const Explainer&) = delete;

  // One row of a feed-forward network; pixels stand for pixel / 255. Errors of Model::RunRows;
  // NotFound for an unknown table or one that the run does not use, OutOfRange for a neuron,
  // FailedPrecondition for a model in reference mode, ResourceExhausted for more neurons than
  // memory for their contributions.
  absl::StatusOr<Explanation> Row(absl::Span<const float> input, const ExplainOptions& options);
  absl::StatusOr<Explanation> Pixels(absl::Span<const uint8_t> pixels,
                                     const ExplainOptions& options);
  // A language model: what the prediction of the token after these is made of. InvalidArgument for
  // no tokens; else as above and as Model::Feed.
  absl::StatusOr<Explanation> Tokens(absl::Span<const int32_t> tokens,
                                     const ExplainOptions& options);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
