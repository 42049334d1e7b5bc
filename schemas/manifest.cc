#include "schemas/manifest.h"

#include "schemas/flat_buffer.h"
#include "schemas/manifest_check.h"
#include "schemas/manifest_generated.h"

namespace lutdb {
namespace {

constexpr char kWhat[] = "manifest";
using Builder = flatbuffers::FlatBufferBuilder;
using Buffer = FlatBuffer<fbs::Manifest>;

fbs::GridLevels Pack(const GridLevels& levels) {
  return {static_cast<uint8_t>(levels.grid), levels.bits};
}

fbs::Hash128 Pack(const Hash128& hash) { return {hash.low, hash.high}; }

// What a store of before has not is left out, so that its manifest keeps its bytes (and its plan
// its hash).
flatbuffers::Offset<fbs::ChunkSpec> Pack(Builder& builder, const ChunkSpec& chunk) {
  std::vector<fbs::GridLevels> levels;
  std::vector<uint32_t> sets;
  bool learned = false;
  for (const GridLevels& one : chunk.levels) {
    levels.push_back(Pack(one));
    sets.push_back(one.set);
    learned |= one.set != kNone;
  }
  const auto inputs = builder.CreateVector(chunk.inputs);
  const auto level_list = builder.CreateVectorOfStructs(levels);
  flatbuffers::Offset<flatbuffers::Vector<uint32_t>> set_list;
  if (learned) set_list = builder.CreateVector(sets);
  return fbs::CreateChunkSpec(builder, inputs, level_list, set_list);
}

flatbuffers::Offset<fbs::LevelSet> Pack(Builder& builder, const LevelSet& set) {
  const auto levels = builder.CreateVector(set.levels);
  const auto thresholds = builder.CreateVector(set.thresholds);
  return fbs::CreateLevelSet(builder, levels, thresholds);
}

flatbuffers::Offset<fbs::TableSpec> Pack(Builder& builder, const TableSpec& table) {
  std::vector<flatbuffers::Offset<fbs::ChunkSpec>> chunks;
  for (const ChunkSpec& chunk : table.chunks) chunks.push_back(Pack(builder, chunk));
  const auto name = builder.CreateString(table.name);
  const auto chunk_list = builder.CreateVector(chunks);
  const fbs::GridLevels levels = Pack(table.levels);
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<fbs::LevelSet>>> sets;
  if (!table.level_sets.empty()) {
    std::vector<flatbuffers::Offset<fbs::LevelSet>> packed;
    for (const LevelSet& set : table.level_sets) packed.push_back(Pack(builder, set));
    sets = builder.CreateVector(packed);
  }
  flatbuffers::Offset<fbs::Codebook> codebook;
  if (table.codebook.inputs != 0) {
    const auto codewords = builder.CreateVector(table.codebook.levels);
    codebook = fbs::CreateCodebook(builder, table.codebook.inputs, codewords);
  }
  return fbs::CreateTableSpec(builder, name, table.inputs, table.neurons,
                              static_cast<uint8_t>(table.entry), static_cast<uint8_t>(table.layout),
                              static_cast<uint8_t>(table.codec), table.mirror, table.chunk, &levels,
                              chunk_list, table.fixed_scale, table.shared_step, table.weight_tensor,
                              table.bias_tensor, table.levels.set, sets, codebook, table.rotation,
                              table.free_zero, table.learned_step);
}

flatbuffers::Offset<fbs::TableStats> Pack(Builder& builder, const TableStats& stats) {
  return fbs::CreateTableStats(builder, stats.records, stats.raw_bytes, stats.stored_bytes,
                               stats.derived_entries);
}

flatbuffers::Offset<fbs::TensorSpec> Pack(Builder& builder, const TensorSpec& tensor) {
  const auto name = builder.CreateString(tensor.name);
  return fbs::CreateTensorSpec(builder, name, static_cast<uint8_t>(tensor.dtype), tensor.rows,
                               tensor.cols, tensor.rows_per_record);
}

// One FlatBuffers vector of tables from one of ours.
template <typename T>
auto PackAll(Builder& builder, const std::vector<T>& from) {
  std::vector<decltype(Pack(builder, from[0]))> packed;
  packed.reserve(from.size());
  for (const T& one : from) packed.push_back(Pack(builder, one));
  return builder.CreateVector(packed);
}

Hash128 Unpack(const fbs::Hash128* hash) {
  return hash == nullptr ? Hash128{} : Hash128{hash->low(), hash->high()};
}

GridLevels Unpack(const fbs::GridLevels& levels) {
  return {static_cast<Grid>(levels.grid()), levels.bits()};
}

absl::Status Unpack(const fbs::ChunkSpec& from, Buffer* buffer, ChunkSpec* chunk) {
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.inputs(), &chunk->inputs));
  LUTDB_ASSIGN_OR_RETURN(const size_t levels, buffer->Count(from.levels()));
  chunk->levels.resize(levels);
  for (size_t i = 0; i < levels; ++i) chunk->levels[i] = Unpack(*from.levels()->Get(i));
  std::vector<uint32_t> sets;
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.sets(), &sets));
  if (!sets.empty() && sets.size() != levels) {
    return DataLoss("the manifest is damaged: a chunk has {} level sets for {} inputs", sets.size(),
                    levels);
  }
  for (size_t i = 0; i < sets.size(); ++i) chunk->levels[i].set = sets[i];
  return absl::OkStatus();
}

absl::Status Unpack(const fbs::LevelSet& from, Buffer* buffer, LevelSet* set) {
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.levels(), &set->levels));
  return buffer->Copy(from.thresholds(), &set->thresholds);
}

absl::Status Unpack(const fbs::TableSpec& from, Buffer* buffer, TableSpec* table) {
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.name(), &table->name));
  table->inputs = from.inputs();
  table->neurons = from.neurons();
  table->entry = static_cast<EntryType>(from.entry());
  table->layout = static_cast<Layout>(from.layout());
  table->codec = static_cast<Codec>(from.codec());
  table->mirror = from.mirror();
  table->chunk = from.chunk();
  if (from.levels() == nullptr) return DataLoss("the manifest is damaged: a table has no levels");
  table->levels = Unpack(*from.levels());
  LUTDB_ASSIGN_OR_RETURN(const size_t chunks, buffer->Count(from.chunks()));
  table->chunks.resize(chunks);
  for (size_t i = 0; i < chunks; ++i) {
    LUTDB_RETURN_IF_ERROR(Unpack(*from.chunks()->Get(i), buffer, &table->chunks[i]));
  }
  table->fixed_scale = from.fixed_scale();
  table->shared_step = from.shared_step();
  table->weight_tensor = from.weight_tensor();
  table->bias_tensor = from.bias_tensor();
  table->levels.set = from.level_set();
  LUTDB_ASSIGN_OR_RETURN(const size_t sets, buffer->Count(from.level_sets()));
  table->level_sets.resize(sets);
  for (size_t i = 0; i < sets; ++i) {
    LUTDB_RETURN_IF_ERROR(Unpack(*from.level_sets()->Get(i), buffer, &table->level_sets[i]));
  }
  if (from.codebook() != nullptr) {
    table->codebook.inputs = from.codebook()->inputs();
    LUTDB_RETURN_IF_ERROR(buffer->Copy(from.codebook()->levels(), &table->codebook.levels));
  }
  table->rotation = from.rotation();
  table->free_zero = from.free_zero();
  table->learned_step = from.learned_step();
  return absl::OkStatus();
}

absl::Status Unpack(const fbs::TableStats& from, Buffer* buffer, TableStats* stats) {
  *stats = {from.records(), from.raw_bytes(), from.stored_bytes(), from.derived_entries()};
  return absl::OkStatus();
}

absl::Status Unpack(const fbs::TensorSpec& from, Buffer* buffer, TensorSpec* tensor) {
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.name(), &tensor->name));
  tensor->dtype = static_cast<DType>(from.dtype());
  tensor->rows = from.rows();
  tensor->cols = from.cols();
  tensor->rows_per_record = from.rows_per_record();
  return absl::OkStatus();
}

// Unpacks a vector of tables; those with an id get their position.
template <typename From, typename To>
absl::Status UnpackAll(const flatbuffers::Vector<flatbuffers::Offset<From>>* from, Buffer* buffer,
                       std::vector<To>* to) {
  LUTDB_ASSIGN_OR_RETURN(const size_t count, buffer->Count(from));
  to->resize(count);
  for (size_t i = 0; i < count; ++i) {
    LUTDB_RETURN_IF_ERROR(Unpack(*from->Get(i), buffer, &(*to)[i]));
    if constexpr (requires(To one) { one.id; }) (*to)[i].id = static_cast<uint32_t>(i);
  }
  return absl::OkStatus();
}

}  // namespace

std::string SerializeManifest(const Manifest& manifest) {
  Builder builder;
  const auto source_format = builder.CreateString(manifest.source_format);
  const auto source_name = builder.CreateString(manifest.source_name);
  const auto tables = PackAll(builder, manifest.tables);
  const auto stats = PackAll(builder, manifest.stats);
  const auto tensors = PackAll(builder, manifest.tensors);
  const auto tensor_stored_bytes = builder.CreateVector(manifest.tensor_stored_bytes);
  const fbs::Hash128 content_hash = Pack(manifest.content_hash);
  const fbs::Hash128 graph_hash = Pack(manifest.graph_hash);
  const fbs::Hash128 plan_hash = Pack(manifest.plan_hash);
  builder.Finish(
      fbs::CreateManifest(builder, manifest.format_version, manifest.generation, source_format,
                          source_name, manifest.integer_only, tables, stats, tensors,
                          tensor_stored_bytes, &content_hash, &graph_hash, &plan_hash,
                          manifest.ranges, manifest.ranges_resumed),
      fbs::ManifestIdentifier());
  return FinishedBytes(builder);
}

absl::StatusOr<Manifest> ParseManifest(std::string_view bytes) {
  LUTDB_ASSIGN_OR_RETURN(auto buffer, Buffer::Open(bytes, fbs::ManifestIdentifier(), kWhat));
  Manifest manifest;
  manifest.format_version = buffer->format_version();
  if (manifest.format_version > kFormatVersion) {
    return Unimplemented(
        "the store has format version {}, this lutdb knows versions up to {}: use a newer lutdb",
        manifest.format_version, kFormatVersion);
  }
  manifest.generation = buffer->generation();
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->source_format(), &manifest.source_format));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->source_name(), &manifest.source_name));
  manifest.integer_only = buffer->integer_only();
  LUTDB_RETURN_IF_ERROR(UnpackAll(buffer->tables(), &buffer, &manifest.tables));
  LUTDB_RETURN_IF_ERROR(UnpackAll(buffer->stats(), &buffer, &manifest.stats));
  LUTDB_RETURN_IF_ERROR(UnpackAll(buffer->tensors(), &buffer, &manifest.tensors));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->tensor_stored_bytes(), &manifest.tensor_stored_bytes));
  manifest.content_hash = Unpack(buffer->content_hash());
  manifest.graph_hash = Unpack(buffer->graph_hash());
  manifest.plan_hash = Unpack(buffer->plan_hash());
  manifest.ranges = buffer->ranges();
  manifest.ranges_resumed = buffer->ranges_resumed();
  LUTDB_RETURN_IF_ERROR(ValidateManifest(manifest));
  return manifest;
}

}  // namespace lutdb
