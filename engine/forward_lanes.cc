// Forward on many positions or rows at a time: all lanes go through one step before the next.
// Tables serve the lanes together; the other steps work on one lane after the other, in the plan's
// own buffers, so that what they compute is what they compute for one.

#include <algorithm>
#include <cstring>

#include "engine/forward.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

size_t Forward::LanesFor(size_t count) {
  // An observer sees what single runs make, and expects it in the plan's buffers.
  if (observer_ || count < 2) return 1;
  if (lanes_ == nullptr) lanes_ = std::make_unique<Lanes>(*plan_);
  return std::min(count, lanes_->count());
}

absl::Status Forward::RunTokens(absl::Span<const int32_t> tokens, Outputs outputs,
                                OutputSink sink) {
  const Graph& graph = plan_->graph;
  for (size_t begin = 0; begin < tokens.size();) {
    const size_t lanes = LanesFor(tokens.size() - begin);
    const bool last = begin + lanes == tokens.size();
    const Outputs wanted = outputs == Outputs::kLast && !last ? Outputs::kNone : outputs;
    if (lanes == 1) {
      LUTDB_RETURN_IF_ERROR(
          RunToken(static_cast<uint32_t>(tokens[begin]), wanted != Outputs::kNone));
      if (wanted != Outputs::kNone) LUTDB_RETURN_IF_ERROR(sink(begin));
      ++begin;
      continue;
    }
    if (position_ + lanes > graph.context) {
      return OutOfRange("{} tokens do not fit the context of {}", position_ + lanes, graph.context);
    }
    ValueBuffer& input = plan_->values[graph.input];
    for (size_t lane = 0; lane < lanes; ++lane) {
      input.index = static_cast<uint32_t>(tokens[begin + lane]);
      lanes_->Store(input, lane);
    }
    LUTDB_RETURN_IF_ERROR(RunLanes(0, lanes, wanted, begin, sink));
    position_ += static_cast<uint32_t>(lanes);
    begin += lanes;
  }
  return absl::OkStatus();
}

absl::Status Forward::RunRows(const float* rows, size_t count, OutputSink sink) {
  const ValueBuffer& input = plan_->values[plan_->graph.input];
  for (size_t begin = 0; begin < count;) {
    const size_t lanes = LanesFor(count - begin);
    const float* first = rows + begin * input.width;
    if (lanes == 1) {
      LUTDB_RETURN_IF_ERROR(RunRow(first));
      LUTDB_RETURN_IF_ERROR(sink(begin));
    } else {
      for (size_t lane = 0; lane < lanes; ++lane) {
        std::memcpy(lanes_->Of(input, lane), first + lane * input.width,
                    sizeof(float) * input.width);
      }
      LUTDB_RETURN_IF_ERROR(RunLanes(0, lanes, Outputs::kAll, begin, sink));
    }
    begin += lanes;
  }
  return absl::OkStatus();
}

absl::Status Forward::RunPixelRows(const uint8_t* pixels, size_t count, OutputSink sink) {
  const ValueBuffer& input = plan_->values[plan_->graph.input];
  const bool as_codes = FeedsPixelCodes();
  for (size_t begin = 0; begin < count;) {
    const size_t lanes = LanesFor(count - begin);
    const uint8_t* first = pixels + begin * input.width;
    if (lanes == 1) {
      LUTDB_RETURN_IF_ERROR(RunPixels(first));
      LUTDB_RETURN_IF_ERROR(sink(begin));
    } else {
      const ValueBuffer& codes = *plan_->steps.front().output;
      for (size_t lane = 0; lane < lanes; ++lane) {
        const uint8_t* row = first + lane * input.width;
        if (as_codes) {
          pixel_codes_->Encode(row, reinterpret_cast<uint16_t*>(lanes_->Of(codes, lane)));
        } else {
          PixelsToNumbers(row, input.width, reinterpret_cast<float*>(lanes_->Of(input, lane)));
        }
      }
      LUTDB_RETURN_IF_ERROR(RunLanes(as_codes ? 1 : 0, lanes, Outputs::kAll, begin, sink));
    }
    begin += lanes;
  }
  return absl::OkStatus();
}

// index: of the first lane's output.
absl::Status Forward::RunLanes(size_t first_step, size_t lanes, Outputs outputs, size_t index,
                               OutputSink sink) {
  const size_t steps = plan_->steps.size();
  // What lies behind the last attention matters to the outputs alone.
  const size_t common = outputs == Outputs::kAll ? steps : plan_->context_steps;
  for (size_t i = first_step; i < common; ++i) {
    LUTDB_RETURN_IF_ERROR(RunStepOnLanes(plan_->steps[i], 0, lanes));
  }
  if (outputs == Outputs::kNone) return absl::OkStatus();
  for (size_t i = common; i < steps; ++i) {
    LUTDB_RETURN_IF_ERROR(RunStepOnLanes(plan_->steps[i], lanes - 1, lanes));
  }
  ValueBuffer& output = plan_->values[plan_->graph.output];
  for (size_t lane = outputs == Outputs::kAll ? 0 : lanes - 1; lane < lanes; ++lane) {
    lanes_->Load(output, lane, &output);
    LUTDB_RETURN_IF_ERROR(sink(index + lane));
  }
  return absl::OkStatus();
}

absl::Status Forward::RunStepOnLanes(const Step& step, size_t begin, size_t end) {
  const OpKind kind = step.op->kind;
  const bool table = kind == OpKind::kTable || kind == OpKind::kTableSums;
  if (table && !plan_->reference) return RunTableOnLanes(step, begin, end);
  const uint32_t first = position_;
  absl::Status status;
  for (size_t lane = begin; lane < end && status.ok(); ++lane) {
    position_ = first + static_cast<uint32_t>(lane);
    if (kind == OpKind::kRope) SetAngles();
    for (ValueBuffer* input : step.inputs) lanes_->Load(*input, lane, input);
    status = RunStep(step);
    lanes_->Store(*step.output, lane);
  }
  position_ = first;
  return status;
}

absl::Status Forward::EncodeLanes(const Step& step, size_t begin, size_t end) {
  const ValueBuffer& input = *step.inputs[0];
  for (size_t lane = begin; lane < end; ++lane) {
    const auto* x = reinterpret_cast<const float*>(lanes_->Of(input, lane));
    if (!AllFinite(x, input.width)) {
      return InputNotFinite(*step.op, position_ + static_cast<uint32_t>(lane));
    }
    lanes_->ScaleOf(*step.codes, lane) =
        step.codes->coder->Encode(x, lanes_->CodesOf(*step.codes, lane));
  }
  return absl::OkStatus();
}

absl::Status Forward::RunTableOnLanes(const Step& step, size_t begin, size_t end) {
  const TableState& table = *step.table;
  const uint32_t neurons = table.spec->neurons;
  if (step.op->kind == OpKind::kTableSums) {
    const ValueBuffer& input = *step.inputs[0];
    const auto* codes = reinterpret_cast<const uint16_t*>(lanes_->Of(input, begin));
    auto* sums = reinterpret_cast<int32_t*>(lanes_->Of(*step.output, begin));
    LUTDB_RETURN_IF_ERROR(
        look_up_add_->SumsOfMany(table.spec->id, end - begin,
                                 absl::MakeConstSpan(codes, (end - begin) * input.width), sums));
    for (size_t lane = 0; lane < end - begin; ++lane) {
      AddIntegerBias(step.thresholds.bias, sums + lane * neurons);
    }
    return absl::OkStatus();
  }
  if (step.makes_codes) LUTDB_RETURN_IF_ERROR(EncodeLanes(step, begin, end));
  const CodeSet& set = *step.codes;
  LUTDB_RETURN_IF_ERROR(look_up_add_->SumsOfMany(
      table.spec->id, end - begin,
      absl::MakeConstSpan(lanes_->CodesOf(set, begin), (end - begin) * set.coder->chunks()),
      lanes_->acc()));
  const float* bias = table.bias.empty() ? nullptr : table.bias.data();
  for (size_t lane = begin; lane < end; ++lane) {
    // The kernel wants aligned sums.
    std::memcpy(plan_->acc.get(), lanes_->acc() + (lane - begin) * neurons,
                sizeof(int32_t) * neurons);
    kernels::ScaleSums(plan_->acc.get(), table.step.data(), bias, lanes_->ScaleOf(set, lane),
                       neurons, reinterpret_cast<float*>(lanes_->Of(*step.output, lane)));
  }
  return absl::OkStatus();
}

}  // namespace lutdb
