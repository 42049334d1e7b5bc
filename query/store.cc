#include "lutdb/store.h"

#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "db/keys.h"
#include "db/store_files.h"
#include "query/address.h"
#include "query/arena.h"
#include "query/branch_view.h"
#include "query/edited_hash.h"
#include "query/history_reader.h"
#include "query/lookup.h"
#include "query/store_reader.h"
#include "query/workers.h"

namespace lutdb {
namespace {

constexpr uint64_t kEntriesMax = uint64_t{1} << 31;  // of one lookup
constexpr uint64_t kLevelsMax = uint64_t{1} << 24;   // codes x chunks of which they are kept

TableInfo DescribeTable(const StoreReader& store, uint32_t table) {
  const TableSpec& spec = store.spec(table);
  const TableGeometry& geometry = store.geometry(table);
  TableInfo info;
  info.name = spec.name;
  info.inputs = spec.inputs;
  info.neurons = spec.neurons;
  info.chunk = spec.chunks.empty() ? spec.chunk : 0;
  info.chunks = geometry.chunks();
  info.codes = geometry.codes_max();
  info.coding = geometry.codebook() != nullptr ? "codebook" : Name(spec.levels.grid);
  if (!spec.chunks.empty()) info.coding = "lists";
  info.input_bits = static_cast<int>(geometry.max_bits());
  info.entry = spec.entry;
  info.layout = spec.layout;
  info.codec = spec.codec;
  info.mirror = spec.mirror;
  const TableStats& stats = store.manifest().stats[table];
  info.records = stats.records;
  info.raw_bytes = stats.raw_bytes;
  info.stored_bytes = stats.stored_bytes;
  return info;
}

StoreInfo DescribeStore(const StoreReader& store) {
  const Manifest& manifest = store.manifest();
  StoreInfo info;
  info.format_version = manifest.format_version;
  info.source_format = manifest.source_format;
  info.source_name = manifest.source_name;
  info.integer_only = manifest.integer_only;
  info.content_hash = manifest.content_hash;
  info.graph_hash = manifest.graph_hash;
  info.generation = manifest.generation;
  info.ranges = manifest.ranges;
  info.ranges_resumed = manifest.ranges_resumed;
  double entries = 0;
  double derived = 0;
  for (uint32_t table = 0; table < manifest.tables.size(); ++table) {
    info.tables.push_back(DescribeTable(store, table));
    const TableStats& stats = manifest.stats[table];
    info.raw_bytes += stats.raw_bytes;
    info.stored_bytes += stats.stored_bytes;
    entries += static_cast<double>(stats.raw_bytes / EntryBytes(manifest.tables[table].entry));
    derived += static_cast<double>(stats.derived_entries);
  }
  info.derived_fraction = entries == 0 ? 0 : derived / entries;
  for (const uint64_t bytes : manifest.tensor_stored_bytes) info.weights_stored_bytes += bytes;
  info.stored_bytes += info.weights_stored_bytes;
  for (const TableSpec& spec : manifest.tables) {
    struct stat status;
    const std::string path = ArenaFilePath(store.path(), spec.id);
    if (::stat(path.c_str(), &status) == 0) {
      info.arena_file_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return info;
}

// Real numbers for input scale 1.
std::vector<double> LevelsOf(const TableGeometry& geometry, const std::vector<float>& scales,
                             uint32_t chunk, uint32_t code) {
  std::vector<int32_t> values(geometry.positions(chunk).size());
  geometry.LevelsOf(chunk, code, values.data());
  std::vector<double> real(values.begin(), values.end());
  for (uint32_t p = 0; p < real.size() && !scales.empty(); ++p) {
    const uint32_t input = geometry.InputAt(chunk, p);
    if (input != kPadding) real[p] *= scales[input];
  }
  return real;
}

absl::Status AddLevels(const StoreReader& store, const Selection& selection, Lookup* lookup) {
  const TableGeometry& geometry = store.geometry(selection.table);
  LUTDB_ASSIGN_OR_RETURN(const std::vector<float> scales, store.InputScales(selection.table));
  const bool keep = uint64_t{selection.codes.size()} * selection.chunks.size() <= kLevelsMax;
  const bool alike = geometry.uniform() && scales.empty();
  for (size_t c = 0;
       c < (alike ? std::min<size_t>(selection.chunks.size(), 1) : selection.chunks.size()); ++c) {
    for (size_t k = 0; k < selection.codes.size(); ++k) {
      std::vector<double> real =
          LevelsOf(geometry, scales, selection.chunks[c], selection.codes[k]);
      if (c == 0) lookup->levels.push_back(real);
      lookup->levels_differ |= real != lookup->levels[k];
      if (keep && !alike) lookup->chunk_levels.push_back(std::move(real));
    }
  }
  if (!lookup->levels_differ) lookup->chunk_levels = {};
  return absl::OkStatus();
}

// Length of the codes axis. Chunks of different numbers of codes have no common axis: a code
// counted from 0 is looked up in all of them, anything else needs chunks that agree.
absl::StatusOr<uint32_t> CodesOf(const StoreReader& store, const Selection& selection,
                                 const AxisIndex& index) {
  const TableGeometry& geometry = store.geometry(selection.table);
  if (selection.chunks.empty()) return geometry.codes_max();
  const uint32_t codes = geometry.codes(selection.chunks.front());
  if (geometry.uniform()) return codes;
  uint32_t codes_min = codes;
  for (const uint32_t chunk : selection.chunks) {
    codes_min = std::min(codes_min, geometry.codes(chunk));
    if (geometry.codes(chunk) == codes || (!index.is_slice && index.begin >= 0)) continue;
    return InvalidArgument(
        "table {}: chunk {} has {} codes and chunk {} has {}; select chunks with the same number",
        store.spec(selection.table).name, selection.chunks.front(), codes, chunk,
        geometry.codes(chunk));
  }
  return codes_min;
}

absl::StatusOr<Selection> Select(const StoreReader& store, const Address& address) {
  Selection selection;
  LUTDB_ASSIGN_OR_RETURN(selection.table, store.FindTable(address.table));
  const TableGeometry& geometry = store.geometry(selection.table);
  const auto axis = [&](size_t i) {
    return i < address.axes.size() ? address.axes[i] : AxisIndex{};
  };
  LUTDB_ASSIGN_OR_RETURN(selection.neurons,
                         Resolve(axis(0), geometry.neurons(), kAxisNames[0], address.table));
  LUTDB_ASSIGN_OR_RETURN(selection.chunks,
                         Resolve(axis(1), geometry.chunks(), kAxisNames[1], address.table));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t codes, CodesOf(store, selection, axis(2)));
  LUTDB_ASSIGN_OR_RETURN(selection.codes, Resolve(axis(2), codes, kAxisNames[2], address.table));
  return selection;
}

}  // namespace

struct Store::State {
  State(std::unique_ptr<StoreReader> reader_in, unsigned threads)
      : reader(std::move(reader_in)), workers(threads) {}
  std::unique_ptr<StoreReader> reader;
  std::unique_ptr<BranchView> view;
  Workers workers;
  StoreInfo info;
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& path,
                                                   const OpenStoreOptions& options) {
  LUTDB_ASSIGN_OR_RETURN(std::unique_ptr<StoreReader> reader,
                         StoreReader::Open(path, options.cache_bytes));
  auto state = std::make_unique<State>(std::move(reader), options.threads);
  LUTDB_ASSIGN_OR_RETURN(state->view, BranchView::Open(*state->reader, options.at));
  state->info = DescribeStore(*state->reader);
  const HistoryReader history(*state->reader);
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs branches, history.Branches());
  for (const auto& [name, commit] : branches) state->info.branches.push_back(name);
  LUTDB_ASSIGN_OR_RETURN(const Graph graph, state->reader->LoadGraph());
  state->info.architecture = graph.architecture;
  // A tokenizer can be megabytes: whether there is one is seen without reading it.
  const db::Cursor tokenizer = state->reader->rocks().Scan(db::Family::kDefault, db::kTokenizerKey,
                                                           std::string(db::kTokenizerKey) + '\0');
  state->info.has_tokenizer = tokenizer.Valid();
  LUTDB_RETURN_IF_ERROR(tokenizer.status());
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

const StoreInfo& Store::info() const { return state_->info; }

absl::StatusOr<Lookup> Store::Get(const std::string& address) const {
  const StoreReader& reader = *state_->reader;
  LUTDB_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  LUTDB_ASSIGN_OR_RETURN(Selection selection, Select(reader, parsed));
  const uint64_t rows = uint64_t{selection.neurons.size()} * selection.chunks.size();
  const uint64_t codes = selection.codes.size();
  if (codes != 0 && rows > kEntriesMax / codes) {
    return ResourceExhausted(
        "{} selects {} x {} x {} entries, more than 2^31; select fewer at a time", address,
        selection.neurons.size(), selection.chunks.size(), codes);
  }
  Lookup lookup;
  lookup.table = parsed.table;
  lookup.entry = reader.spec(selection.table).entry;
  try {
    lookup.entries.resize(rows * codes);
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("no memory for {} entries; select fewer at a time", rows * codes);
  }
  LUTDB_RETURN_IF_ERROR(AddLevels(reader, selection, &lookup));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<float> steps, reader.Steps(selection.table));
  lookup.step.reserve(selection.neurons.size());
  for (const uint32_t neuron : selection.neurons) lookup.step.push_back(steps[neuron]);
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> edits, state_->view->Current());
  LUTDB_RETURN_IF_ERROR(GatherSelection(reader, state_->workers, selection, lookup.entries.data()));
  ApplyEdits(*edits, selection, lookup.entries.data());
  lookup.neurons = std::move(selection.neurons);
  lookup.chunks = std::move(selection.chunks);
  lookup.codes = std::move(selection.codes);
  return lookup;
}

absl::Status Store::GetEntries(absl::Span<const EntryKey> keys, absl::Span<int16_t> entries) const {
  if (keys.size() != entries.size()) {
    return InvalidArgument("{} keys need {} entries of room, not {}", keys.size(), keys.size(),
                           entries.size());
  }
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> edits, state_->view->Current());
  LUTDB_RETURN_IF_ERROR(GatherEntries(*state_->reader, state_->workers, keys, entries.data()));
  ApplyEdits(*edits, keys, entries.data());
  return absl::OkStatus();
}

absl::StatusOr<Hash128> Store::ContentHash() const {
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> edits, state_->view->Current());
  return EditedContentHash(*state_->reader, *edits);
}

absl::StatusOr<Store::Head> Store::head() const {
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> edits, state_->view->Current());
  return Head{edits->commit(), edits->entries()};
}

}  // namespace lutdb
