#include "query/store_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/status.h"
#include "coding/tensor_record.h"
#include "db/keys.h"
#include "db/manifest.h"
#include "engine/kernels/kernels.h"
#include "query/commit_feed.h"

namespace lutdb {
namespace {

// The instruction set is chosen once per process, before the first kernel runs; every opened store
// and model passes through here.
absl::Status ApplyForcedIsa() {
  static const absl::Status status = [] {
    const char* name = std::getenv("LUTDB_FORCE_ISA");
    if (name == nullptr || *name == '\0' || kernels::ForceIsa(name)) return absl::OkStatus();
    return InvalidArgument(
        "LUTDB_FORCE_ISA={} is not an instruction set of this machine; use one of: {}", name,
        kernels::IsaList());
  }();
  return status;
}

// Levenshtein distance of two names, each cut to 128 bytes so that a long argument stays cheap.
size_t EditDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, 128);
  b = b.substr(0, 128);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

struct StoreReader::State {
  db::OpenedStore store;
  uint64_t commit_counter = 0;
  std::vector<TableGeometry> geometries;
  absl::flat_hash_map<std::string, uint32_t> table_by_name;

  // Floats of a blob that must have exactly `count` of them.
  absl::StatusOr<std::vector<float>> Floats(const std::string& key, uint64_t count) const;
};

StoreReader::StoreReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
StoreReader::~StoreReader() = default;

std::unique_ptr<FileLock>& StoreReader::lock() { return state_->store.lock; }

absl::StatusOr<std::unique_ptr<StoreReader>> StoreReader::Open(const std::string& path,
                                                               uint64_t cache_bytes) {
  db::OpenOptions options;
  options.cache_bytes = cache_bytes;
  const uint64_t commit_counter = ReadCommitCounter(CommitCounterPath(path));
  LUTDB_ASSIGN_OR_RETURN(db::OpenedStore store, db::OpenStore(path, db::Access::kRead, options));
  LUTDB_ASSIGN_OR_RETURN(std::unique_ptr<StoreReader> reader, Over(std::move(store)));
  reader->state_->commit_counter = commit_counter;
  return reader;
}

absl::StatusOr<std::unique_ptr<StoreReader>> StoreReader::Over(db::OpenedStore store) {
  LUTDB_RETURN_IF_ERROR(ApplyForcedIsa());
  auto state = std::make_unique<State>();
  state->store = std::move(store);
  const std::string& path = state->store.path;
  state->commit_counter = ReadCommitCounter(CommitCounterPath(path));
  const Manifest& manifest = state->store.manifest;
  state->geometries.reserve(manifest.tables.size());
  for (const TableSpec& spec : manifest.tables) {
    auto geometry = TableGeometry::Create(spec);
    if (!geometry.ok()) {
      return DataLoss("{}: the manifest's table {} is impossible: {}", path, spec.name,
                      Message(geometry.status()));
    }
    state->geometries.push_back(*std::move(geometry));
    if (!state->table_by_name.emplace(spec.name, spec.id).second) {
      return DataLoss("{}: the manifest names table {} twice", path, spec.name);
    }
  }
  return std::unique_ptr<StoreReader>(new StoreReader(std::move(state)));
}

const std::string& StoreReader::path() const { return state_->store.path; }
const Manifest& StoreReader::manifest() const { return state_->store.manifest; }
const db::Rocks& StoreReader::rocks() const { return *state_->store.rocks; }
uint64_t StoreReader::commit_counter() const { return state_->commit_counter; }
const std::vector<TableGeometry>& StoreReader::geometries() const { return state_->geometries; }

absl::StatusOr<Graph> StoreReader::LoadGraph() const {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes, Blob(db::kGraphKey));
  return ParseGraph(bytes, manifest().tables, manifest().tensors);
}

absl::StatusOr<TokenizerSpec> StoreReader::LoadTokenizer() const {
  absl::StatusOr<std::string> bytes = rocks().Get(db::Family::kDefault, db::kTokenizerKey);
  if (absl::IsNotFound(bytes.status())) return TokenizerSpec{};
  if (!bytes.ok()) return bytes.status();
  return ParseTokenizer(*bytes);
}

const TableSpec& StoreReader::spec(uint32_t table) const {
  LUTDB_CHECK(table < manifest().tables.size());
  return manifest().tables[table];
}

const TableGeometry& StoreReader::geometry(uint32_t table) const {
  LUTDB_CHECK(table < state_->geometries.size());
  return state_->geometries[table];
}

absl::StatusOr<uint32_t> StoreReader::FindTable(const std::string& name) const {
  const auto found = state_->table_by_name.find(name);
  if (found != state_->table_by_name.end()) return found->second;
  const std::string* nearest = nullptr;
  size_t distance_min = std::numeric_limits<size_t>::max();
  for (const TableSpec& table : manifest().tables) {
    const size_t distance = EditDistance(name, table.name);
    if (distance < distance_min) {
      distance_min = distance;
      nearest = &table.name;
    }
  }
  if (nearest == nullptr) return NotFound("{}: no table {}: the store has none", path(), name);
  return NotFound("{}: no table {}; the nearest name is {} (`lutdb info` lists all {})", path(),
                  name, *nearest, manifest().tables.size());
}

absl::StatusOr<std::string> StoreReader::Blob(const std::string& key) const {
  absl::StatusOr<std::string> bytes = rocks().Get(db::Family::kDefault, key);
  if (absl::IsNotFound(bytes.status())) {
    return DataLoss("{}: the store lacks its blob {}; rebuild it, or see `lutdb verify`", path(),
                    key);
  }
  return bytes;
}

absl::StatusOr<std::vector<float>> StoreReader::State::Floats(const std::string& key,
                                                              uint64_t count) const {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes, store.rocks->Get(db::Family::kDefault, key));
  if (bytes.size() != count * sizeof(float)) {
    return DataLoss("{}: blob {} has {} bytes where {} are needed; see `lutdb verify`", store.path,
                    key, bytes.size(), count * sizeof(float));
  }
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (const float value : values) {
    if (!std::isfinite(value) || value <= 0) {
      return DataLoss("{}: blob {} has a scale that is not a positive number; see `lutdb verify`",
                      store.path, key);
    }
  }
  return values;
}

absl::StatusOr<std::vector<float>> StoreReader::Steps(uint32_t table) const {
  auto steps = state_->Floats(db::StepsKey(table), geometry(table).neurons());
  if (absl::IsNotFound(steps.status())) {
    return DataLoss("{}: table {} lacks its steps; rebuild the store", path(), spec(table).name);
  }
  return steps;
}

absl::StatusOr<std::vector<float>> StoreReader::InputScales(uint32_t table) const {
  auto scales = state_->Floats(db::InputScalesKey(table), geometry(table).inputs());
  if (absl::IsNotFound(scales.status())) return std::vector<float>();
  return scales;
}

absl::Status StoreReader::ReadTensorRows(uint32_t tensor, uint64_t row_begin, uint64_t row_count,
                                         float* out) const {
  if (tensor >= manifest().tensors.size()) {
    return InvalidArgument("{}: no tensor {}", path(), tensor);
  }
  const TensorSpec& spec = manifest().tensors[tensor];
  if (row_begin > spec.rows || row_count > spec.rows - row_begin) {
    return OutOfRange("{}: tensor {} has rows 0 to {}, not {} to {}", path(), spec.name, spec.rows,
                      row_begin, row_begin + row_count);
  }
  if (row_count == 0) return absl::OkStatus();
  const uint64_t per_record = std::max<uint32_t>(spec.rows_per_record, 1);
  const uint64_t first = row_begin / per_record;
  const uint64_t last = (row_begin + row_count - 1) / per_record;
  db::Cursor cursor =
      rocks().Scan(db::Family::kWeights, db::WeightsKey(tensor, static_cast<uint32_t>(first)),
                   db::TableEnd(tensor), last - first > 64 ? 1 << 20 : 0);
  std::string rows;
  const uint64_t row_bytes = spec.cols * DTypeBytes(spec.dtype);
  for (uint64_t block = first; block <= last; ++block, cursor.Next()) {
    const uint32_t block_number = static_cast<uint32_t>(block);
    if (!cursor.Valid() || cursor.key() != db::WeightsKey(tensor, block_number)) {
      LUTDB_RETURN_IF_ERROR(cursor.status());
      return DataLoss("{}: block {} of the kept tensor {} is missing; see `lutdb verify`", path(),
                      block, spec.name);
    }
    LUTDB_RETURN_IF_ERROR(DecodeTensorRows(spec, block_number, cursor.value(), &rows));
    const uint64_t begin = std::max(row_begin, block * per_record);
    const uint64_t end = std::min(row_begin + row_count, (block + 1) * per_record);
    const uint64_t skipped = (begin - block * per_record) * row_bytes;
    if (rows.size() < skipped + (end - begin) * row_bytes) {
      return DataLoss("{}: block {} of the kept tensor {} is short", path(), block, spec.name);
    }
    ToFloat(spec.dtype, rows.data() + skipped, (end - begin) * spec.cols,
            out + (begin - row_begin) * spec.cols);
  }
  return absl::OkStatus();
}

}  // namespace lutdb
