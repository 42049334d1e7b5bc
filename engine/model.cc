#include "lutdb/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "engine/model_state.h"
#include "query/pending_edits.h"

namespace lutdb {
Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;

absl::StatusOr<std::unique_ptr<Model>> Model::Open(const std::string& path,
                                                   const ModelOptions& options) {
  auto state = std::make_unique<State>();
  LUTDB_ASSIGN_OR_RETURN(state->store, StoreReader::Open(path, options.store.cache_bytes));
  LUTDB_ASSIGN_OR_RETURN(state->view, BranchView::Open(*state->store, options.store.at));
  if (options.pending != nullptr) {
    LUTDB_ASSIGN_OR_RETURN(state->pending,
                           WithPending(*state->store, *state->view->latest(), *options.pending));
  }
  const unsigned threads = ThreadTeam(options.store.threads).count();
  if (!options.reference) {
    const uint64_t arena_bytes = options.store.arena_bytes == OpenStoreOptions::kArenaDefault
                                     ? UsableMemoryBytes() / 4
                                     : options.store.arena_bytes;
    LUTDB_ASSIGN_OR_RETURN(
        state->rows,
        RowSource::Create(*state->store, {.arena_bytes = arena_bytes,
                                          .threads = std::min(threads, ThreadTeam(0).count())}));
  }
  LUTDB_ASSIGN_OR_RETURN(state->forward,
                         Forward::Create(*state->store, state->rows.get(),
                                         {.threads = threads, .reference = options.reference}));
  LUTDB_ASSIGN_OR_RETURN(TokenizerSpec tokenizer, state->store->LoadTokenizer());
  LUTDB_ASSIGN_OR_RETURN(state->tokenizer, Tokenizer::Create(std::move(tokenizer)));
  return std::unique_ptr<Model>(new Model(std::move(state)));
}

absl::Status Model::State::BeginBatch() {
  if (chosen) return absl::OkStatus();
  std::shared_ptr<const Edits> edits = pending;
  if (edits == nullptr) {
    LUTDB_ASSIGN_OR_RETURN(edits, view->Current());
  }
  forward->Use(std::move(edits));
  chosen = holds > 0;
  return absl::OkStatus();
}

Model::CommitHold::CommitHold(Model& model) : model_(model) { ++model_.state_->holds; }

Model::CommitHold::~CommitHold() {
  if (--model_.state_->holds == 0) model_.state_->chosen = false;
}

std::string Model::commit() const { return state_->view->latest()->commit(); }

bool Model::is_language_model() const { return state_->graph().is_language_model(); }

bool Model::gives_shares() const {
  const Graph& graph = state_->graph();
  return !graph.ops.empty() && graph.ops.back().kind == OpKind::kSoftmax;
}

bool Model::is_integer_only() const { return state_->forward->output().type != ValueType::kF32; }

uint32_t Model::input_width() const {
  return is_language_model() ? 0 : state_->graph().values[state_->graph().input].width;
}

uint32_t Model::output_width() const {
  const ValueBuffer& output = state_->forward->output();
  return output.type == ValueType::kIndex ? 1 : output.width;
}

uint32_t Model::classes() const {
  if (state_->forward->output().type != ValueType::kIndex) return output_width();
  const Graph& graph = state_->graph();
  return graph.values[graph.ops.back().inputs[0]].width;
}

uint32_t Model::context() const { return state_->graph().context; }

namespace {

// One row of the answer, as floats, whatever type the network ends in.
void CopyOutput(const ValueBuffer& output, float* to) {
  switch (output.type) {
    case ValueType::kIndex:
      to[0] = static_cast<float>(output.index);
      return;
    case ValueType::kSums:
      std::transform(output.sums.get(), output.sums.get() + output.width, to,
                     [](int32_t sum) { return static_cast<float>(sum); });
      return;
    default:
      std::memcpy(to, output.numbers.get(), sizeof(float) * output.width);
  }
}

absl::Status CheckRows(const Model& model, size_t input_size, size_t count, size_t output_size) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: it takes tokens, not rows of numbers");
  }
  if (input_size / model.input_width() != count || input_size % model.input_width() != 0) {
    return InvalidArgument("{} rows of {} numbers are needed, but {} numbers were given", count,
                           model.input_width(), input_size);
  }
  if (output_size / model.output_width() != count || output_size % model.output_width() != 0) {
    return InvalidArgument("the output of {} rows has {} numbers each, not {} in all", count,
                           model.output_width(), output_size);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Model::RunRows(absl::Span<const float> input, size_t count, absl::Span<float> output) {
  LUTDB_RETURN_IF_ERROR(CheckRows(*this, input.size(), count, output.size()));
  const auto bad =
      std::find_if_not(input.begin(), input.end(), [](float x) { return std::isfinite(x); });
  if (bad != input.end()) {
    return InvalidArgument("input {} of row {} is not a finite number",
                           (bad - input.begin()) % input_width(),
                           (bad - input.begin()) / input_width());
  }
  LUTDB_RETURN_IF_ERROR(state_->BeginBatch());
  return state_->forward->RunRows(input.data(), count, [&](size_t row) {
    CopyOutput(state_->forward->output(), output.data() + row * output_width());
    return absl::OkStatus();
  });
}

absl::Status Model::RunPixels(absl::Span<const uint8_t> pixels, size_t count,
                              absl::Span<float> output) {
  LUTDB_RETURN_IF_ERROR(CheckRows(*this, pixels.size(), count, output.size()));
  LUTDB_RETURN_IF_ERROR(state_->BeginBatch());
  return state_->forward->RunPixelRows(pixels.data(), count, [&](size_t row) {
    CopyOutput(state_->forward->output(), output.data() + row * output_width());
    return absl::OkStatus();
  });
}

namespace {

absl::Status CheckTokens(const Model& model, absl::Span<const int32_t> tokens) {
  if (!model.is_language_model()) {
    return InvalidArgument("this is not a language model: it takes rows of numbers, not tokens");
  }
  for (const int32_t token : tokens) {
    if (token < 0 || static_cast<uint32_t>(token) >= model.output_width()) {
      return OutOfRange("token {} is not below the vocabulary size {}", token,
                        model.output_width());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Model::Feed(int32_t token, absl::Span<float> logits) {
  return FeedAll(absl::MakeConstSpan(&token, 1), logits);
}

absl::Status Model::FeedAll(absl::Span<const int32_t> tokens, absl::Span<float> logits) {
  LUTDB_RETURN_IF_ERROR(CheckTokens(*this, tokens));
  if (!logits.empty() && logits.size() != output_width()) {
    return InvalidArgument("the logits are {} numbers, not {}", output_width(), logits.size());
  }
  LUTDB_RETURN_IF_ERROR(state_->BeginBatch());
  const auto wanted = logits.empty() ? Forward::Outputs::kNone : Forward::Outputs::kLast;
  return state_->forward->RunTokens(tokens, wanted, [&](size_t) {
    CopyOutput(state_->forward->output(), logits.data());
    return absl::OkStatus();
  });
}

absl::Status Model::FeedEach(absl::Span<const int32_t> tokens, const LogitsSink& sink) {
  LUTDB_RETURN_IF_ERROR(CheckTokens(*this, tokens));
  LUTDB_RETURN_IF_ERROR(state_->BeginBatch());
  return state_->forward->RunTokens(tokens, Forward::Outputs::kAll, [&](size_t index) {
    const ValueBuffer& output = state_->forward->output();
    return sink(index, absl::MakeConstSpan(output.numbers.get(), output.width));
  });
}

void Model::Reset() { state_->forward->Reset(); }

absl::StatusOr<std::vector<int32_t>> Model::Encode(std::string_view text,
                                                   const EncodeOptions& options) const {
  return state_->tokenizer->Encode(text, options);
}

absl::StatusOr<std::string> Model::Decode(absl::Span<const int32_t> tokens) const {
  return state_->tokenizer->Decode(tokens);
}

absl::Status Model::SetFaults(const FaultOptions& faults) {
  if (state_->rows == nullptr) {
    return FailedPrecondition("--reference runs the kept weights, which have no cells to damage");
  }
  LUTDB_ASSIGN_OR_RETURN(std::shared_ptr<const FaultModel> model,
                         FaultModel::Create(*state_->store, faults));
  state_->forward->Use(std::move(model));
  return absl::OkStatus();
}

ArenaReport Model::arena() const {
  if (state_->rows == nullptr) return {};
  const ArenaStats stats = state_->rows->stats();
  return {.owned = stats.owned,
          .limit_bytes = stats.limit_bytes,
          .used_bytes = stats.used_bytes,
          .hits = stats.hits,
          .misses = stats.misses,
          .fills = stats.fills,
          .evictions = stats.evictions};
}

}  // namespace lutdb
