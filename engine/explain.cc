#include "engine/explain.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "engine/model_state.h"
#include "lutdb/explain.h"
#include "lutdb/history.h"

namespace lutdb {
namespace {

// A run's table op, kept after the run.
struct KeptRun {
  const Step* step = nullptr;
  std::vector<uint16_t> codes;
  std::vector<int32_t> acc;
  float scale = 0;
};

bool IsTable(const Step& step) {
  return step.op->kind == OpKind::kTable || step.op->kind == OpKind::kTableSums;
}

template <typename Entry>
void TakeEntries(const PinnedRows& pinned, size_t row, absl::Span<const uint32_t> neurons,
                 size_t stride, int16_t* out) {
  const auto* entries = static_cast<const Entry*>(pinned.rows()[row]);
  const int sign = pinned.signs() == nullptr ? 1 : pinned.signs()[row];
  for (size_t i = 0; i < neurons.size(); ++i) {
    const int entry = entries == nullptr ? 0 : sign * entries[neurons[i]];
    out[i * stride] = static_cast<int16_t>(entry);
  }
}

// The value of every neuron, with the bits that the model computed.
struct NeuronValues {
  std::vector<float> step;     // empty: integer-only
  std::vector<float> numbers;  // likewise
  std::vector<int32_t> sums;   // integer-only

  double y(uint32_t neuron) const { return sums.empty() ? numbers[neuron] : sums[neuron]; }
  uint32_t Largest() const {
    const auto index = sums.empty()
                           ? std::max_element(numbers.begin(), numbers.end()) - numbers.begin()
                           : std::max_element(sums.begin(), sums.end()) - sums.begin();
    return static_cast<uint32_t>(index);
  }
};

NeuronValues ValuesOf(const KeptRun& run) {
  NeuronValues values;
  if (run.step->op->kind == OpKind::kTableSums) {
    values.sums = run.acc;
    AddIntegerBias(run.step->thresholds.bias, values.sums.data());
    return values;
  }
  const std::vector<float>& bias = run.step->table->bias;
  values.numbers.resize(run.acc.size());
  kernels::ScaleSums(run.acc.data(), run.step->table->step.data(),
                     bias.empty() ? nullptr : bias.data(), run.scale, run.acc.size(),
                     values.numbers.data());
  return values;
}

}  // namespace

absl::StatusOr<std::vector<int16_t>> EntriesOf(const StoreReader& store, RowSource& rows,
                                               uint32_t table, absl::Span<const uint16_t> codes,
                                               absl::Span<const uint32_t> neurons,
                                               const Edits* edits) {
  const bool small = store.geometry(table).entry() == EntryType::kI8;
  std::vector<int16_t> entries(neurons.size() * codes.size());
  const TableEdits* edited = edits == nullptr ? nullptr : edits->table(table);
  const size_t block = std::max(1u, rows.ChunksPerPin(table));
  PinnedRows pinned;
  for (size_t begin = 0; begin < codes.size(); begin += block) {
    const auto pinned_codes = codes.subspan(begin, block);
    LUTDB_RETURN_IF_ERROR(
        rows.Pin(table, static_cast<uint32_t>(begin), pinned_codes, &pinned, edits));
    for (size_t r = 0; r < pinned_codes.size(); ++r) {
      int16_t* out = entries.data() + begin + r;
      small ? TakeEntries<int8_t>(pinned, r, neurons, codes.size(), out)
            : TakeEntries<int16_t>(pinned, r, neurons, codes.size(), out);
      const ChunkEdits* chunk =
          edited == nullptr ? nullptr : edited->Find(static_cast<uint32_t>(begin + r));
      const RowEdits* row = chunk == nullptr ? nullptr : chunk->Find(pinned_codes[r]);
      for (size_t i = 0; row != nullptr && i < neurons.size(); ++i) {
        const EntryEditValue* value = row->Find(neurons[i]);
        if (value != nullptr) out[i * codes.size()] = value->value;
      }
    }
  }
  return entries;
}

std::vector<uint32_t> LargestEntries(absl::Span<const int16_t> entries, uint32_t top) {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  const size_t count = top == 0 ? order.size() : std::min<size_t>(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](uint32_t a, uint32_t b) {
                      const int size_a = std::abs(int{entries[a]});
                      const int size_b = std::abs(int{entries[b]});
                      return size_a != size_b ? size_a > size_b : a < b;
                    });
  order.resize(count);
  return order;
}

struct Explainer::State {
  Model& model;
  std::unique_ptr<History> history{};  // opened when an explanation of an edited store asks for it
  std::string history_commit{};        // the model's commit when it was opened

  Model::State& inside() { return *model.state_; }
  absl::StatusOr<uint32_t> FindTable(const std::string& name);
  absl::StatusOr<Explanation> Explain(const KeptRun& run, const ExplainOptions& options);
  absl::Status ExplainNeuron(const KeptRun& run, const NeuronValues& values,
                             absl::Span<const int16_t> entries, uint32_t top,
                             NeuronExplanation* neuron);
  absl::Status Blame(const KeptRun& run, Explanation* explanation);

  // Runs `run`, watches the table's last evaluation and explains it, all at one commit.
  template <typename Run>
  absl::StatusOr<Explanation> Watch(const ExplainOptions& options, const Run& run) {
    LUTDB_ASSIGN_OR_RETURN(const uint32_t table, FindTable(options.table));
    const Model::CommitHold hold(model);
    KeptRun kept;
    inside().forward->Observe([&](const TableRun& seen) {
      if (seen.step.op->table != table) return;
      kept.step = &seen.step;
      kept.codes.assign(seen.codes.begin(), seen.codes.end());
      kept.acc.assign(seen.acc.begin(), seen.acc.end());
      kept.scale = seen.scale;
    });
    const absl::Status status = run();
    inside().forward->Observe({});
    LUTDB_RETURN_IF_ERROR(status);
    if (kept.step == nullptr) {
      return NotFound("nothing in the network's graph uses the table '{}'", options.table);
    }
    return Explain(kept, options);
  }
};

Explainer::Explainer(Model& model) : state_(new State{.model = model}) {}
Explainer::~Explainer() = default;

absl::StatusOr<Explanation> Explainer::Row(absl::Span<const float> input,
                                           const ExplainOptions& options) {
  std::vector<float> output(state_->model.output_width());
  return state_->Watch(options,
                       [&] { return state_->model.RunRows(input, 1, absl::MakeSpan(output)); });
}

absl::StatusOr<Explanation> Explainer::Pixels(absl::Span<const uint8_t> pixels,
                                              const ExplainOptions& options) {
  std::vector<float> output(state_->model.output_width());
  return state_->Watch(options,
                       [&] { return state_->model.RunPixels(pixels, 1, absl::MakeSpan(output)); });
}

absl::StatusOr<Explanation> Explainer::Tokens(absl::Span<const int32_t> tokens,
                                              const ExplainOptions& options) {
  Model& model = state_->model;
  if (tokens.empty()) return InvalidArgument("there is no token to explain the next one from");
  std::vector<float> logits(model.output_width());
  absl::StatusOr<Explanation> explanation = state_->Watch(options, [&]() -> absl::Status {
    model.Reset();
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool last = i + 1 == tokens.size();
      LUTDB_RETURN_IF_ERROR(
          model.Feed(tokens[i], last ? absl::MakeSpan(logits) : absl::Span<float>()));
    }
    return absl::OkStatus();
  });
  model.Reset();
  if (explanation.ok()) explanation->position = static_cast<uint32_t>(tokens.size() - 1);
  return explanation;
}

absl::StatusOr<uint32_t> Explainer::State::FindTable(const std::string& name) {
  if (inside().rows == nullptr) {
    return FailedPrecondition("the kept weights (--reference) have no entries to explain with");
  }
  if (!name.empty()) return inside().store->FindTable(name);
  const std::vector<Step>& steps = inside().forward->plan().steps;
  const auto last = std::find_if(steps.rbegin(), steps.rend(), IsTable);
  if (last == steps.rend()) return NotFound("the network has no table to explain");
  return last->op->table;
}

absl::StatusOr<Explanation> Explainer::State::Explain(const KeptRun& run,
                                                      const ExplainOptions& options) {
  const TableSpec& spec = *run.step->table->spec;
  const NeuronValues values = ValuesOf(run);
  std::vector<uint32_t> neurons = {values.Largest()};
  for (const uint32_t neuron : options.neurons) {
    if (neuron >= spec.neurons) {
      return OutOfRange("'{}' has neurons 0 to {}, not {}", spec.name, spec.neurons - 1, neuron);
    }
    if (std::find(neurons.begin(), neurons.end(), neuron) == neurons.end()) {
      neurons.push_back(neuron);
    }
  }
  const size_t chunks = run.codes.size();
  const uint64_t listed = options.top == 0 ? chunks : std::min<uint64_t>(options.top, chunks);
  constexpr uint64_t kListedBytes = 256;  // of one contribution with its lists and address
  if (neurons.size() * (chunks * sizeof(int16_t) + listed * kListedBytes) >
      UsableMemoryBytes() / 4) {
    return ResourceExhausted(
        "the contributions to {} neurons of '{}' would fill the memory; "
        "explain fewer at a time",
        neurons.size(), spec.name);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::vector<int16_t> entries,
                         EntriesOf(*inside().store, *inside().rows, spec.id, run.codes, neurons,
                                   inside().forward->edits()));
  Explanation explanation;
  explanation.table = spec.name;
  explanation.commit = model.commit();
  explanation.integer_only = run.step->op->kind == OpKind::kTableSums;
  explanation.scale = run.scale;
  for (size_t i = 0; i < neurons.size(); ++i) {
    NeuronExplanation& neuron = explanation.neurons.emplace_back();
    neuron.neuron = neurons[i];
    neuron.largest = i == 0;
    LUTDB_RETURN_IF_ERROR(ExplainNeuron(run, values,
                                        absl::MakeConstSpan(entries).subspan(i * chunks, chunks),
                                        options.top, &neuron));
  }
  if (options.blame) LUTDB_RETURN_IF_ERROR(Blame(run, &explanation));
  return explanation;
}

absl::Status Explainer::State::ExplainNeuron(const KeptRun& run, const NeuronValues& values,
                                             absl::Span<const int16_t> entries, uint32_t top,
                                             NeuronExplanation* neuron) {
  const TableState& table = *run.step->table;
  const uint32_t n = neuron->neuron;
  neuron->chunks = static_cast<uint32_t>(entries.size());
  neuron->acc = run.acc[n];
  neuron->y = values.y(n);
  neuron->has_bias = !table.bias.empty() || !run.step->thresholds.bias.empty();
  if (!table.bias.empty()) neuron->bias = table.bias[n];
  if (!run.step->thresholds.bias.empty()) neuron->integer_bias = run.step->thresholds.bias[n];
  if (!table.step.empty()) {
    neuron->step = table.step[n];
  } else {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<float> steps, inside().store->Steps(table.spec->id));
    neuron->step = steps[n];
  }
  if (inside().graph().is_language_model() && inside().tokenizer->present() &&
      run.step->output == &inside().forward->output()) {
    const auto token = static_cast<int32_t>(n);
    const auto text = model.Decode(absl::MakeConstSpan(&token, 1));
    if (text.ok()) neuron->text = *text;  // a token that is not text has none
  }
  int64_t sum = 0, size = 0;
  for (const int16_t entry : entries) {
    sum += entry;
    size += std::abs(int{entry});
  }
  if (sum != neuron->acc) {
    return DataLoss("the entries of '{}[{}]' add up to {}, but its sum was {}: run 'lutdb verify'",
                    table.spec->name, n, sum, neuron->acc);
  }
  neuron->rest = sum;
  for (const uint32_t chunk : LargestEntries(entries, top)) {
    Contribution& part = neuron->contributions.emplace_back();
    part.chunk = chunk;
    part.code = run.codes[chunk];
    part.levels.resize(table.geometry->positions(chunk).size());
    table.geometry->LevelsOf(chunk, part.code, part.levels.data());
    for (uint32_t p = 0; p < part.levels.size(); ++p) {
      const uint32_t input = table.geometry->InputAt(chunk, p);
      if (input != kPadding) part.inputs.push_back(input);
    }
    part.address = fmt::format("{}[{}, {}, {}]", table.spec->name, n, chunk, part.code);
    part.entry = entries[chunk];
    part.value = static_cast<double>(part.entry) * neuron->step * run.scale;
    part.share =
        size == 0 ? 0 : std::abs(static_cast<double>(part.entry)) / static_cast<double>(size);
    neuron->rest -= part.entry;
  }
  return absl::OkStatus();
}

absl::Status Explainer::State::Blame(const KeptRun& run, Explanation* explanation) {
  if (explanation->commit.empty()) return absl::OkStatus();  // the build: all from the weights
  if (history == nullptr || history_commit != explanation->commit) {
    history.reset();
    LUTDB_ASSIGN_OR_RETURN(history, History::Open(inside().store->path(), {}));
    history_commit = explanation->commit;
  }
  std::vector<EntryKey> keys;
  for (const NeuronExplanation& neuron : explanation->neurons) {
    for (const Contribution& part : neuron.contributions) {
      keys.push_back({.table = run.step->table->spec->id,
                      .neuron = neuron.neuron,
                      .chunk = part.chunk,
                      .code = part.code});
    }
  }
  LUTDB_ASSIGN_OR_RETURN(const auto origins, history->Blame(explanation->commit, keys));
  size_t next = 0;
  for (NeuronExplanation& neuron : explanation->neurons) {
    for (Contribution& part : neuron.contributions) {
      const std::vector<EntryOrigin>& commits = origins[next++];
      if (!commits.empty()) part.commit = commits.front().commit.id;
    }
  }
  return absl::OkStatus();
}

}  // namespace lutdb
