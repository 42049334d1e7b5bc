#include "engine/forward.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

void PixelsToNumbers(const uint8_t* pixels, size_t count, float* numbers) {
  for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(pixels[i]) / 255.0f;
}

// A NaN or infinity would have no level; found by its exponent bits, without a branch per element.
bool AllFinite(const float* x, size_t count) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    bad |= (bits & kExponent) == kExponent ? 1u : 0u;
  }
  return bad == 0;
}

absl::Status InputNotFinite(const Op& op, uint32_t position) {
  return FailedPrecondition(
      "the input of '{}' is not finite at position {}: the model overflows f32", op.name, position);
}

absl::StatusOr<std::unique_ptr<Forward>> Forward::Create(const StoreReader& store, RowSource* rows,
                                                         const ForwardOptions& options) {
  auto forward = std::unique_ptr<Forward>(new Forward());
  forward->team_ = std::make_unique<ThreadTeam>(options.threads);
  if (!options.reference) {
    forward->look_up_add_ = std::make_unique<LookUpAdd>(store, *rows, *forward->team_);
  }
  LUTDB_ASSIGN_OR_RETURN(forward->plan_,
                         Plan::Create(store, options.reference, forward->team_.get()));
  return forward;
}

void Forward::Use(std::shared_ptr<const Edits> edits) {
  if (look_up_add_ != nullptr) look_up_add_->Use(std::move(edits));
}

void Forward::Use(std::shared_ptr<const FaultModel> faults) {
  if (look_up_add_ != nullptr) look_up_add_->Use(std::move(faults));
}

absl::Status Forward::RunToken(uint32_t token, bool want_output) {
  const Graph& graph = plan_->graph;
  if (position_ >= graph.context) {
    return OutOfRange("the context of {} tokens is full", graph.context);
  }
  if (token >= graph.vocabulary) {
    return OutOfRange("token {} is not below the vocabulary size {}", token, graph.vocabulary);
  }
  plan_->values[graph.input].index = token;
  SetAngles();
  LUTDB_RETURN_IF_ERROR(RunSteps(0, want_output ? plan_->steps.size() : plan_->context_steps));
  ++position_;
  return absl::OkStatus();
}

void Forward::SetAngles() {
  for (RopeAngles& angles : plan_->rope) {
    kernels::RopeAngles(position_, angles.frequencies.data(), angles.frequencies.size(),
                        angles.cosine.data(), angles.sine.data());
  }
}

absl::Status Forward::RunOne(size_t step, uint32_t position) {
  position_ = position;
  if (plan_->steps[step].op->kind == OpKind::kRope) SetAngles();
  return RunStep(plan_->steps[step]);
}

absl::Status Forward::RunRow(const float* row) {
  ValueBuffer& input = plan_->values[plan_->graph.input];
  std::memcpy(input.numbers.get(), row, sizeof(float) * input.width);
  if (disturbance_) disturbance_(&input);
  return RunSteps(0, plan_->steps.size());
}

// Codes can be looked up, without floats, when they are all that is made of the input.
bool Forward::FeedsPixelCodes() {
  const ValueBuffer& input = plan_->values[plan_->graph.input];
  const auto reads_input = [&](const Step& step) { return step.inputs[0] == &input; };
  const Step& first = plan_->steps.front();
  if (first.op->kind != OpKind::kInputCodes ||
      std::count_if(plan_->steps.begin(), plan_->steps.end(), reads_input) != 1) {
    return false;
  }
  if (pixel_codes_ == nullptr) {
    pixel_codes_ = std::make_unique<PixelCodes>(*plan_->tables[first.op->table]->geometry,
                                                *first.codes->coder);
  }
  return true;
}

absl::Status Forward::RunPixels(const uint8_t* pixels) {
  if (FeedsPixelCodes()) {
    pixel_codes_->Encode(pixels, plan_->steps.front().output->codes.get());
    return RunSteps(1, plan_->steps.size());
  }
  ValueBuffer& input = plan_->values[plan_->graph.input];
  PixelsToNumbers(pixels, input.width, input.numbers.get());
  return RunSteps(0, plan_->steps.size());
}

absl::Status Forward::RunSteps(size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    LUTDB_RETURN_IF_ERROR(RunStep(plan_->steps[i]));
    if (disturbance_) disturbance_(plan_->steps[i].output);
  }
  return absl::OkStatus();
}

absl::Status Forward::RunStep(const Step& step) {
  const Op& op = *step.op;
  const size_t width = step.output->width;
  const float* x = step.inputs[0]->numbers.get();
  float* y = step.output->numbers.get();
  switch (op.kind) {
    case OpKind::kEmbedding:
      return step.embedding->Read(step.inputs[0]->index, y);
    case OpKind::kTable:
      return RunTable(step);
    case OpKind::kRmsNorm:
      RunRmsNorm(step);
      break;
    case OpKind::kLayerNorm:
      kernels::LayerNorm(x, step.weight.data(), step.shift.empty() ? nullptr : step.shift.data(),
                         op.epsilon, width, y);
      break;
    case OpKind::kScaleShift:
      kernels::ScaleShift(x, step.weight.data(), step.shift.data(), width, y);
      break;
    case OpKind::kRope:
      RunRope(step);
      break;
    case OpKind::kAttention:
      return step.attention->Step(position_, x, step.inputs[1]->numbers.get(),
                                  step.inputs[2]->numbers.get(), y);
    case OpKind::kAdd:
      kernels::Add(x, step.inputs[1]->numbers.get(), width, y);
      break;
    case OpKind::kMultiply:
      kernels::Multiply(x, step.inputs[1]->numbers.get(), width, y);
      break;
    case OpKind::kActivation:
      kernels::Activate(op.activation, op.alpha, x, width, y);
      break;
    case OpKind::kSoftmax:
      kernels::Softmax(x, width, y);
      break;
    case OpKind::kSlice:
      std::memcpy(y, x + op.offset, sizeof(float) * width);
      break;
    case OpKind::kInputCodes:
    case OpKind::kTableSums:
    case OpKind::kThresholds:
    case OpKind::kArgmax:
      return RunIntegerStep(step);
  }
  return absl::OkStatus();
}

absl::Status Forward::RunTable(const Step& step) {
  const TableState& table = *step.table;
  const ValueBuffer& input = *step.inputs[0];
  float* y = step.output->numbers.get();
  const float* bias = table.bias.empty() ? nullptr : table.bias.data();
  if (plan_->reference) return table.weights->Multiply(input.numbers.get(), bias, y);
  CodeSet& set = *step.codes;
  if (step.makes_codes) {
    if (!AllFinite(input.numbers.get(), input.width)) {
      return InputNotFinite(*step.op, position_);
    }
    set.scale = set.coder->Encode(input.numbers.get(), set.codes.get());
  }
  LUTDB_ASSIGN_OR_RETURN(const int32_t* acc, SumsOf(step));
  if (observer_) {
    observer_({.step = step,
               .codes = absl::MakeConstSpan(set.codes.get(), set.coder->chunks()),
               .scale = set.scale,
               .acc = absl::MakeConstSpan(acc, table.spec->neurons)});
  }
  kernels::ScaleSums(acc, table.step.data(), bias, set.scale, table.spec->neurons, y);
  return absl::OkStatus();
}

// Those of all tables that read the same codes are made when the first of them is run.
absl::StatusOr<const int32_t*> Forward::SumsOf(const Step& step) {
  CodeSet& set = *step.codes;
  const auto codes = absl::MakeConstSpan(set.codes.get(), set.coder->chunks());
  if (step.makes_codes) {
    set.summed = false;
    if (set.tables.size() > 1) {
      LUTDB_ASSIGN_OR_RETURN(set.summed,
                             look_up_add_->SumsTogether(set.tables, codes, set.sums.get()));
    }
  }
  if (set.summed) return set.sums.get() + step.sums_at;
  LUTDB_RETURN_IF_ERROR(look_up_add_->Sums(step.table->spec->id, codes, plan_->acc.get()));
  return plan_->acc.get();
}

void Forward::RunRope(const Step& step) {
  const Op& op = *step.op;
  const size_t width = step.output->width;
  float* y = step.output->numbers.get();
  std::memcpy(y, step.inputs[0]->numbers.get(), sizeof(float) * width);
  const RopeAngles& angles = plan_->rope[step.rope];
  kernels::Rope(angles.cosine.data(), angles.sine.data(), width / op.head_dim, op.head_dim, y);
}

// Over the whole vector, or over each head with the same weights.
void Forward::RunRmsNorm(const Step& step) {
  const Op& op = *step.op;
  const float* x = step.inputs[0]->numbers.get();
  float* y = step.output->numbers.get();
  const size_t count = op.heads == 0 ? step.output->width : op.head_dim;
  for (size_t begin = 0; begin < step.output->width; begin += count) {
    kernels::RmsNorm(x + begin, step.weight.data(), op.epsilon, count, y + begin);
  }
}

absl::Status Forward::RunIntegerStep(const Step& step) {
  const ValueBuffer& input = *step.inputs[0];
  switch (step.op->kind) {
    case OpKind::kInputCodes:
      step.codes->coder->Encode(input.numbers.get(), step.output->codes.get());
      return absl::OkStatus();
    case OpKind::kTableSums:
      LUTDB_RETURN_IF_ERROR(look_up_add_->Sums(step.table->spec->id,
                                               absl::MakeConstSpan(input.codes.get(), input.width),
                                               step.output->sums.get()));
      if (observer_) {
        observer_({.step = step,
                   .codes = absl::MakeConstSpan(input.codes.get(), input.width),
                   .scale = step.table->spec->fixed_scale,
                   .acc = absl::MakeConstSpan(step.output->sums.get(), step.output->width)});
      }
      AddIntegerBias(step.thresholds.bias, step.output->sums.get());
      return absl::OkStatus();
    case OpKind::kThresholds:
      ThresholdCodes(step.thresholds, input.sums.get(), step.output->codes.get());
      return absl::OkStatus();
    default:
      step.output->index = IndexOfLargest(input.sums.get(), input.width);
      return absl::OkStatus();
  }
}

}  // namespace lutdb
