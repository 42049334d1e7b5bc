#include "engine/tune_bind.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "db/keys.h"
#include "engine/input_coder.h"
#include "engine/integer_steps.h"
#include "engine/tune_memory.h"
#include "schemas/thresholds.h"

namespace lutdb {
namespace {

constexpr uint64_t kKeysAtOnce = uint64_t{1} << 20;  // looking one up takes 70 bytes

// Axes of a chunk with the values of their levels. A codebook's codewords lie on no grid: such a
// chunk has none, so gradients end there and only `near` regularises it.
void AppendAxes(const TableGeometry& geometry, uint32_t chunk, const std::vector<float>& scales,
                TuneTable* table) {
  if (geometry.codebook() != nullptr) return;
  const absl::Span<const Position> positions = geometry.positions(chunk);
  for (uint32_t p = 0; p < positions.size(); ++p) {
    const Position& position = positions[p];
    TuneAxis axis;
    axis.input = geometry.InputAt(chunk, p);
    axis.place = position.place;
    axis.levels = position.range.count;
    axis.first_value = static_cast<uint32_t>(table->level_values.size());
    const float unit = scales.empty() || axis.input == kPadding ? 1.0f : scales[axis.input];
    for (uint32_t level = 0; level < axis.levels; ++level) {
      table->level_values.push_back(unit * static_cast<float>(position.range.level(level)));
    }
    table->axes.push_back(axis);
  }
}

TuneOp OpOf(const Op& op) {
  TuneOp out;
  out.kind = op.kind;
  out.inputs = op.inputs;
  out.output = op.output;
  out.activation = op.activation;
  out.alpha = op.alpha;
  out.epsilon = op.epsilon;
  return out;
}

bool Trainable(OpKind kind) {
  switch (kind) {
    case OpKind::kTable:
    case OpKind::kActivation:
    case OpKind::kScaleShift:
    case OpKind::kRmsNorm:
    case OpKind::kLayerNorm:
    case OpKind::kAdd:
    case OpKind::kMultiply:
    case OpKind::kSoftmax:
      return true;
    default:
      return false;
  }
}

class Binder {
 public:
  Binder(const StoreReader& store, const Store& entries, const TuneOptions& options,
         unsigned threads)
      : store_(store), entries_(entries), options_(options), threads_(threads) {}

  absl::StatusOr<TuneBinding> Run();

 private:
  absl::Status CheckChoice() const;
  absl::Status CheckMemory() const;
  std::string Advice(const TuneSize& size) const;
  absl::StatusOr<uint32_t> Table(uint32_t id);
  absl::StatusOr<std::vector<float>> Tensor(uint32_t id) const;
  absl::Status AddOp(const Op& op);
  absl::Status AddIntegerOp(uint32_t index);
  absl::Status AddThresholds(uint32_t index, uint32_t table);
  bool Trains(const std::string& name) const;

  const StoreReader& store_;
  const Store& entries_;
  const TuneOptions& options_;
  const unsigned threads_;
  Graph graph_;
  TuneBinding binding_;
};

absl::Status Binder::CheckChoice() const {
  for (const auto* names : {&options_.only, &options_.freeze}) {
    for (const std::string& name : *names) {
      LUTDB_RETURN_IF_ERROR(store_.FindTable(name).status());
    }
  }
  for (const TableSpec& table : store_.manifest().tables) {
    if (Trains(table.name)) return absl::OkStatus();
  }
  return InvalidArgument("no table is left to train: every one is frozen or not named by --only");
}

bool Binder::Trains(const std::string& name) const {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (options_.only.empty() || has(options_.only)) && !has(options_.freeze);
}

absl::Status Binder::CheckMemory() const {
  LUTDB_ASSIGN_OR_RETURN(const Store::Head head, entries_.head());
  TuneSize size{.edited = head.edited_entries};
  for (const TableSpec& table : store_.manifest().tables) {
    const TableGeometry& geometry = store_.geometry(table.id);
    const uint64_t entries = geometry.codes_total() * table.neurons;
    if (!Trains(table.name)) {
      size.frozen += entries;
      continue;
    }
    size.trained += entries;
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      size.chunk_max =
          std::max<uint64_t>(size.chunk_max, uint64_t{geometry.codes(chunk)} * table.neurons);
    }
  }
  // The other half is for the data, its codes and the store's caches.
  const uint64_t bytes = TunePeakBytes(size, options_, threads_);
  if (bytes > UsableMemoryBytes() / 2) {
    return ResourceExhausted(
        "training {} entries needs {} MiB of memory, more than half of the {} MiB that are usable: "
        "train fewer tables at a time (--only or --freeze){}",
        size.trained, bytes >> 20, UsableMemoryBytes() >> 20, Advice(size));
  }
  return absl::OkStatus();
}

// What else would do, as more words of the refusal.
std::string Binder::Advice(const TuneSize& size) const {
  std::string advice;
  TuneOptions other = options_;
  const auto fits = [&] { return TunePeakBytes(size, other, threads_) <= UsableMemoryBytes() / 2; };
  other.search = 0;
  if (options_.search > 1 && fits()) advice += ", or without --search";
  other = options_;
  other.entries_max = 1;
  if (options_.commit && fits()) advice += ", or commit fewer changes (--entries)";
  return advice;
}

absl::StatusOr<uint32_t> Binder::Table(uint32_t id) {
  for (uint32_t t = 0; t < binding_.table_ids.size(); ++t) {
    if (binding_.table_ids[t] == id) return t;
  }
  LUTDB_ASSIGN_OR_RETURN(TuneTable table, BindTable(store_, id));
  LUTDB_RETURN_IF_ERROR(ReadEntries(entries_, store_, id, 0, table.neurons, &table));
  table.trained = Trains(store_.spec(id).name);
  binding_.network.tables.push_back(std::move(table));
  binding_.table_ids.push_back(id);
  return static_cast<uint32_t>(binding_.table_ids.size() - 1);
}

absl::StatusOr<std::vector<float>> Binder::Tensor(uint32_t id) const {
  std::vector<float> numbers;
  if (id == kNone) return numbers;
  const TensorSpec& spec = store_.manifest().tensors[id];
  numbers.resize(spec.rows * spec.cols);
  LUTDB_RETURN_IF_ERROR(store_.ReadTensorRows(id, 0, spec.rows, numbers.data()));
  return numbers;
}

absl::Status Binder::AddOp(const Op& op) {
  // Norms of single heads belong to language models.
  if (!Trainable(op.kind) || op.heads != 0) {
    return Unimplemented("op '{}' cannot be trained through: use --objective reconstruct", op.name);
  }
  TuneOp out = OpOf(op);
  if (op.kind == OpKind::kTable) {
    LUTDB_ASSIGN_OR_RETURN(out.table, Table(op.table));
    TuneTable& table = binding_.network.tables[out.table];
    LUTDB_ASSIGN_OR_RETURN(table.bias, Tensor(store_.spec(op.table).bias_tensor));
  }
  LUTDB_ASSIGN_OR_RETURN(out.weight, Tensor(op.tensor));
  LUTDB_ASSIGN_OR_RETURN(out.shift, Tensor(op.tensor_b));
  binding_.network.ops.push_back(std::move(out));
  return absl::OkStatus();
}

// Codes are made by the table op that takes them, so of an integer-only graph only the sums remain:
// its thresholds become that table's coder. Sums are kept in real units, as in a float graph.
absl::Status Binder::AddIntegerOp(uint32_t index) {
  const Op& op = graph_.ops[index];
  if (op.kind != OpKind::kTableSums) return absl::OkStatus();
  TuneOp out;
  out.output = op.output;
  LUTDB_ASSIGN_OR_RETURN(out.table, Table(op.table));
  const auto maker = std::find_if(graph_.ops.begin(), graph_.ops.end(),
                                  [&](const Op& other) { return other.output == op.inputs[0]; });
  if (maker == graph_.ops.end()) {
    return DataLoss("op '{}' takes codes that no op makes: build the store anew", op.name);
  }
  out.inputs = {maker->inputs[0]};
  if (maker->kind == OpKind::kThresholds) {
    LUTDB_RETURN_IF_ERROR(
        AddThresholds(static_cast<uint32_t>(maker - graph_.ops.begin()), out.table));
  }
  TuneTable& table = binding_.network.tables[out.table];
  const float scale = store_.spec(op.table).fixed_scale;
  for (float& unit : table.unit) unit *= scale;
  for (size_t i = 0; i < table.entries.size(); ++i) table.entries[i] *= scale;
  table.initial = table.entries;
  const auto coders = table.coders;
  table.coders = [coders]() -> TuneCoder {
    const TuneCoder coder = coders();
    return [coder](const float* x, const int32_t* sums, uint16_t* codes) {
      coder(x, sums, codes);
      return 1.0f;
    };
  };
  const absl::StatusOr<std::string> blob =
      store_.rocks().Get(db::Family::kDefault, db::ThresholdsKey(index));
  if (blob.ok()) {
    LUTDB_ASSIGN_OR_RETURN(Thresholds thresholds, ParseThresholds(*blob, table.neurons, {}));
    table.whole_bias = thresholds.bias;
    for (uint32_t n = 0; n < table.neurons && !table.whole_bias.empty(); ++n) {
      table.bias.push_back(table.unit[n] * static_cast<float>(table.whole_bias[n]));
    }
  } else if (!absl::IsNotFound(blob.status())) {
    return blob.status();
  }
  binding_.network.ops.push_back(std::move(out));
  return absl::OkStatus();
}

absl::Status Binder::AddThresholds(uint32_t index, uint32_t table_index) {
  TuneTable& table = binding_.network.tables[table_index];
  const TableGeometry& next = store_.geometry(binding_.table_ids[table_index]);
  std::vector<uint32_t> counts(next.chunks());
  for (uint32_t chunk = 0; chunk < counts.size(); ++chunk) counts[chunk] = next.codes(chunk);
  LUTDB_ASSIGN_OR_RETURN(const std::string blob, store_.Blob(db::ThresholdsKey(index)));
  const uint32_t from = graph_.ops[index].inputs[0];
  LUTDB_ASSIGN_OR_RETURN(Thresholds parsed,
                         ParseThresholds(blob, graph_.values[from].width, counts));
  // The sums' unit is that of the table before.
  const std::vector<float>* unit = nullptr;
  for (const TuneOp& op : binding_.network.ops) {
    if (op.output == from) unit = &binding_.network.tables[op.table].unit;
  }
  if (unit == nullptr)
    return DataLoss("thresholds {} follow no table: build the store anew", index);
  for (const ThresholdLane& lane : parsed.lanes) {
    TuneLane out{.input = lane.neuron, .chunk = lane.chunk, .at = {}, .code = {}};
    for (uint32_t i = 0; i < lane.count; ++i) {
      out.at.push_back(static_cast<float>(parsed.at[lane.first + i]) * (*unit)[lane.neuron]);
    }
    out.code.assign(parsed.code.begin() + lane.code,
                    parsed.code.begin() + lane.code + lane.count + 1);
    table.lanes.push_back(std::move(out));
  }
  const auto shared = std::make_shared<const Thresholds>(std::move(parsed));
  const auto lanes = std::make_shared<const std::vector<TuneLane>>(table.lanes);
  table.coders = [shared, lanes]() -> TuneCoder {
    return [shared, lanes](const float* x, const int32_t* sums, uint16_t* codes) {
      if (sums != nullptr) {
        ThresholdCodes(*shared, sums, codes);
        return 1.0f;
      }
      std::copy(shared->base.begin(), shared->base.end(), codes);
      for (const TuneLane& lane : *lanes) {
        const auto bin =
            std::upper_bound(lane.at.begin(), lane.at.end(), x[lane.input]) - lane.at.begin();
        codes[lane.chunk] = static_cast<uint16_t>(codes[lane.chunk] + lane.code[bin]);
      }
      return 1.0f;
    };
  };
  return absl::OkStatus();
}

absl::StatusOr<TuneBinding> Binder::Run() {
  LUTDB_ASSIGN_OR_RETURN(graph_, store_.LoadGraph());
  if (graph_.is_language_model()) {
    return InvalidArgument(
        "this is a language model: train it on tokens with --objective reconstruct");
  }
  LUTDB_RETURN_IF_ERROR(CheckChoice());
  LUTDB_RETURN_IF_ERROR(CheckMemory());
  TuneNetwork& network = binding_.network;
  for (const Value& value : graph_.values) network.widths.push_back(value.width);
  network.input = graph_.input;
  network.output = graph_.output;
  binding_.integer_only =
      graph_.ops.back().kind == OpKind::kArgmax || graph_.ops.back().kind == OpKind::kTableSums;
  for (uint32_t i = 0; i < graph_.ops.size(); ++i) {
    LUTDB_RETURN_IF_ERROR(binding_.integer_only ? AddIntegerOp(i) : AddOp(graph_.ops[i]));
  }
  // The loss reads what comes before a final softmax or argmax.
  for (const Op& op : graph_.ops) {
    if (op.output != network.output) continue;
    if (op.kind == OpKind::kSoftmax || op.kind == OpKind::kArgmax) network.output = op.inputs[0];
  }
  if (!network.ops.empty() && network.ops.back().kind == OpKind::kSoftmax &&
      network.ops.back().inputs[0] == network.output) {
    network.ops.pop_back();
  }
  return std::move(binding_);
}

}  // namespace

absl::StatusOr<TuneTable> BindTable(const StoreReader& store, uint32_t id) {
  const TableSpec& spec = store.spec(id);
  const TableGeometry& geometry = store.geometry(id);
  TuneTable table;
  table.inputs = spec.inputs;
  table.neurons = spec.neurons;
  table.limit = EntryLimit(spec.entry);
  LUTDB_ASSIGN_OR_RETURN(table.unit, store.Steps(id));
  LUTDB_ASSIGN_OR_RETURN(std::vector<float> scales, store.InputScales(id));
  table.chunk_axis = {0};
  table.chunk_row = {0};
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    AppendAxes(geometry, chunk, scales, &table);
    table.chunk_axis.push_back(static_cast<uint32_t>(table.axes.size()));
    table.chunk_row.push_back(table.chunk_row.back() + geometry.codes(chunk));
  }
  table.coders = [&spec, &geometry, scales]() -> TuneCoder {
    const auto coder = std::make_shared<InputCoder>(spec, geometry, scales);
    return [coder](const float* x, const int32_t*, uint16_t* codes) {
      return coder->Encode(x, codes);
    };
  };
  return table;
}

absl::Status ReadEntries(const Store& entries, const StoreReader& store, uint32_t id,
                         uint32_t begin, uint32_t end, TuneTable* out) {
  const uint32_t width = end - begin;
  out->entries.resize(size_t{out->rows()} * width);
  const uint32_t group = store.geometry(id).tile_chunks();
  std::vector<EntryKey> keys;
  std::vector<int16_t> values;
  for (uint32_t first = 0; first < out->chunks(); first += group) {
    const uint32_t last = std::min(first + group, out->chunks());
    // Whole blocks of neurons, so that a record is read once.
    const uint64_t blocks =
        kKeysAtOnce / (uint64_t{out->chunk_row[last] - out->chunk_row[first]} * kBlockNeurons);
    const auto step = static_cast<uint32_t>(
        std::clamp<uint64_t>(blocks * kBlockNeurons, kBlockNeurons, UINT32_MAX / 2));
    for (uint32_t from = begin; from < end; from += step) {
      const uint32_t neurons = std::min(step, end - from);
      keys.clear();
      for (uint32_t chunk = first; chunk < last; ++chunk) {
        const uint32_t codes = out->chunk_row[chunk + 1] - out->chunk_row[chunk];
        for (uint32_t code = 0; code < codes; ++code) {
          for (uint32_t n = from; n < from + neurons; ++n) {
            keys.push_back({.table = id, .neuron = n, .chunk = chunk, .code = code});
          }
        }
      }
      values.resize(keys.size());
      LUTDB_RETURN_IF_ERROR(entries.GetEntries(keys, absl::MakeSpan(values)));
      float* to = out->entries.data() + size_t{out->chunk_row[first]} * width + (from - begin);
      for (size_t i = 0; i < values.size(); ++i) {
        const size_t n = i % neurons;
        to[i / neurons * width + n] = out->unit[from + n] * static_cast<float>(values[i]);
      }
    }
  }
  out->initial = out->entries;
  return absl::OkStatus();
}

absl::StatusOr<TuneBinding> BindNetwork(const StoreReader& store, const Store& entries,
                                        const TuneOptions& options, unsigned threads) {
  return Binder(store, entries, options, threads).Run();
}

}  // namespace lutdb
