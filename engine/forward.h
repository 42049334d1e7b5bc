// Runs a plan: positions of a language model, or rows of a feed-forward network, one at a time or
// many together with the same results.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/integer_steps.h"
#include "engine/lanes.h"
#include "engine/look_up_add.h"
#include "engine/plan.h"
#include "engine/thread_team.h"
#include "query/row_source.h"

namespace lutdb {

struct ForwardOptions {
  unsigned threads = 0;    // 0: all cores
  bool reference = false;  // f32 source weights instead of tables
};

// What one table op was made of, for who wants to see it. Valid during the call only.
struct TableRun {
  const Step& step;
  absl::Span<const uint16_t> codes;  // one per chunk
  float scale;                       // of the inputs; integer-only networks: the table's fixed one
  absl::Span<const int32_t> acc;     // one per neuron, before any bias
};
using TableObserver = std::function<void(const TableRun&)>;
// May change a value that was just written, before anything reads it.
using Disturbance = std::function<void(ValueBuffer* written)>;

// Not thread-safe. After an error the context is that of before the call, its outputs undefined.
class Forward {
 public:
  // store and rows outlive it; rows is not used (and may be null) in reference mode.
  static absl::StatusOr<std::unique_ptr<Forward>> Create(const StoreReader& store, RowSource* rows,
                                                         const ForwardOptions& options);

  const Plan& plan() const { return *plan_; }
  const ValueBuffer& output() const { return plan_->values[plan_->graph.output]; }
  uint32_t position() const { return position_; }  // tokens fed so far
  void Reset() { position_ = 0; }

  // The edits of the commit that later runs read (null: the base); not in reference mode.
  void Use(std::shared_ptr<const Edits> edits);

  const Edits* edits() const { return look_up_add_ == nullptr ? nullptr : look_up_add_->edits(); }

  // Damages what later runs read (null: nothing); not in reference mode.
  void Use(std::shared_ptr<const FaultModel> faults);
  // Called after the sums of every table op, until another one is given (empty: none); not in
  // reference mode.
  void Observe(TableObserver observer) { observer_ = std::move(observer); }
  // Called by RunToken and RunRow after every step, and on the input row; null: none.
  void Disturb(Disturbance disturbance) { disturbance_ = std::move(disturbance); }

  // Feeds a token at position(). want_output false: the steps behind the last attention are left
  // out and output() is not written. OutOfRange when the context is full or for an unknown token.
  absl::Status RunToken(uint32_t token, bool want_output);

  // Which of many outputs are wanted.
  enum class Outputs : uint8_t { kNone, kLast, kAll };
  // Called when output() holds what follows tokens[index] (rows: row `index`).
  using OutputSink = absl::FunctionRef<absl::Status(size_t index)>;
  // The same as RunToken for each token in turn, but the tokens go through each table together.
  // After an error the context is undefined: Reset it. With kNone, sink is not called.
  // tokens: below the vocabulary size.
  absl::Status RunTokens(absl::Span<const int32_t> tokens, Outputs outputs, OutputSink sink);

  // One step alone, on what its inputs hold, as at `position` of the context: for who takes many
  // positions through one step before the next (tune). Attention wants ascending positions from 0.
  absl::Status RunOne(size_t step, uint32_t position);

  // One row of the input's width; finite.
  absl::Status RunRow(const float* row);
  // The same for pixels, fed as pixel / 255; without any float where the network is integer-only.
  absl::Status RunPixels(const uint8_t* pixels);
  // `count` of either, through each table together.
  absl::Status RunRows(const float* rows, size_t count, OutputSink sink);
  absl::Status RunPixelRows(const uint8_t* pixels, size_t count, OutputSink sink);

 private:
  Forward() = default;
  bool FeedsPixelCodes();
  absl::Status RunSteps(size_t begin, size_t end);
  // forward_lanes.cc:
  absl::Status RunLanes(size_t first_step, size_t lanes, Outputs outputs, size_t index,
                        OutputSink sink);
  absl::Status RunStepOnLanes(const Step& step, size_t begin, size_t end);
  absl::Status RunTableOnLanes(const Step& step, size_t begin, size_t end);
  absl::Status EncodeLanes(const Step& step, size_t begin, size_t end);
  size_t LanesFor(size_t count);
  absl::Status RunStep(const Step& step);
  absl::Status RunTable(const Step& step);
  absl::StatusOr<const int32_t*> SumsOf(const Step& step);
  absl::Status RunIntegerStep(const Step& step);
  void SetAngles();
  void RunRope(const Step& step);
  void RunRmsNorm(const Step& step);

  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<LookUpAdd> look_up_add_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<PixelCodes> pixel_codes_;  // made by the first RunPixels
  std::unique_ptr<Lanes> lanes_;             // made by the first run of many
  TableObserver observer_;
  Disturbance disturbance_;
  uint32_t position_ = 0;
};

// Shared by running one and running many.
bool AllFinite(const float* x, size_t count);
absl::Status InputNotFinite(const Op& op, uint32_t position);
void PixelsToNumbers(const uint8_t* pixels, size_t count, float* numbers);

}  // namespace lutdb
