#include "ingest/graph_file_coding.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/status.h"
#include "coding/levels.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kBitsMax = 16;
// Scales beyond these cannot be meant: entries times steps would leave the range of f32.
constexpr double kScaleMin = 1e-20, kScaleMax = 1e20;

absl::Status ReadGrid(const Json& field, const std::string& where, Grid* grid) {
  if (field == "signed") {
    *grid = Grid::kSigned;
  } else if (field == "unsigned") {
    *grid = Grid::kUnsigned;
  } else {
    return DataLoss("{}: grid must be \"signed\" or \"unsigned\"", where);
  }
  return absl::OkStatus();
}

absl::Status ReadBits(const Json& field, const std::string& where, uint8_t* bits) {
  if (!field.is_number_unsigned() || field.get<uint64_t>() < 1 ||
      field.get<uint64_t>() > kBitsMax) {
    return DataLoss("{}: bits must be an integer from 1 to {}", where, kBitsMax);
  }
  *bits = field.get<uint8_t>();
  return absl::OkStatus();
}

// One value for all positions of a chunk, or a list of one per position.
template <typename Read>
absl::Status ForEachPosition(const Json* field, const char* key, const std::string& where,
                             std::vector<GridLevels>* levels, const Read& read) {
  if (field == nullptr) return absl::OkStatus();
  if (field->is_array() && field->size() != levels->size()) {
    return DataLoss("{}: {} has {} elements for {} inputs", where, key, field->size(),
                    levels->size());
  }
  for (size_t i = 0; i < levels->size(); ++i) {
    LUTDB_RETURN_IF_ERROR(read(field->is_array() ? (*field)[i] : *field, &(*levels)[i]));
  }
  return absl::OkStatus();
}

absl::Status ReadChunk(const Json& object, const std::string& where, const TableSpec& spec,
                       ChunkSpec* chunk) {
  if (!object.is_object()) return DataLoss("{}: must be an object", where);
  JsonFields fields(object, where);
  const Json* inputs = fields.Find("inputs");
  if (inputs == nullptr || !inputs->is_array() || inputs->empty() ||
      inputs->size() > kMaxChunkInputs) {
    return DataLoss("{}: inputs must be a list of 1 to {} input numbers", where, kMaxChunkInputs);
  }
  for (const Json& input : *inputs) {
    if (!input.is_number_unsigned() || input.get<uint64_t>() >= spec.inputs) {
      return DataLoss("{}: inputs must be numbers from 0 to {}", where, spec.inputs - 1);
    }
    chunk->inputs.push_back(input.get<uint32_t>());
  }
  chunk->levels.assign(chunk->inputs.size(), spec.levels);
  LUTDB_RETURN_IF_ERROR(ForEachPosition(
      fields.Find("bits"), "bits", where, &chunk->levels,
      [&](const Json& bits, GridLevels* at) { return ReadBits(bits, where, &at->bits); }));
  LUTDB_RETURN_IF_ERROR(ForEachPosition(
      fields.Find("grid"), "grid", where, &chunk->levels,
      [&](const Json& grid, GridLevels* at) { return ReadGrid(grid, where, &at->grid); }));
  return fields.RefuseUnread();
}

absl::Status ReadChunks(const Json& list, const std::string& where, TableSpec* spec) {
  if (!list.is_array() || list.empty() || list.size() > kMaxChunks) {
    return DataLoss("{}: chunks must be a list of 1 to {} chunks", where, kMaxChunks);
  }
  for (const Json& object : list) {
    const std::string chunk_where = fmt::format("{}, chunk {}", where, spec->chunks.size());
    ChunkSpec chunk;
    LUTDB_RETURN_IF_ERROR(ReadChunk(object, chunk_where, *spec, &chunk));
    spec->chunks.push_back(std::move(chunk));
  }
  return absl::OkStatus();
}

absl::Status ReadInputScales(const Json& list, const std::string& where, SourceTable* table) {
  if (!list.is_array() || list.size() != table->spec.inputs) {
    return DataLoss("{}: input_scales must be a list of {} numbers, one per input", where,
                    table->spec.inputs);
  }
  for (const Json& scale : list) {
    const double value = scale.is_number() ? scale.get<double>() : 0;
    if (!(value >= kScaleMin && value <= kScaleMax)) {
      return DataLoss("{}: input_scales must be numbers from {} to {}", where, kScaleMin,
                      kScaleMax);
    }
    table->input_scales.push_back(static_cast<float>(value));
  }
  return absl::OkStatus();
}

// Inputs of fewer levels are given a larger scale each, so that all cover the same range under the
// one input scale of the vector. The chunk that owns an input (the first to list it) counts.
void BalanceMixedLevels(const TableSpec& spec, std::vector<float>* scales) {
  std::vector<int32_t> level_max(spec.inputs, 0);
  for (const ChunkSpec& chunk : spec.chunks) {
    for (size_t i = 0; i < chunk.inputs.size(); ++i) {
      int32_t& max = level_max[chunk.inputs[i]];
      if (max == 0) max = RangeOf(chunk.levels[i]).max;
    }
  }
  const auto [least, most] = std::minmax_element(level_max.begin(), level_max.end());
  if (*least == *most) return;
  for (const int32_t max : level_max) {
    scales->push_back(static_cast<float>(*most) / static_cast<float>(max));
  }
}

}  // namespace

absl::Status ReadTableCoding(const Json& object, const std::string& where, SourceTable* table) {
  if (!object.is_object()) return DataLoss("{}: must be an object", where);
  TableSpec& spec = table->spec;
  JsonFields fields(object, where);
  const Json* bits = fields.Find("input_bits");
  const Json* grid = fields.Find("grid");
  const Json* chunks = fields.Find("chunks");
  const Json* scales = fields.Find("input_scales");
  const bool chunk_given = fields.Find("chunk") != nullptr;
  if (bits != nullptr) LUTDB_RETURN_IF_ERROR(ReadBits(*bits, where, &spec.levels.bits));
  if (grid != nullptr) LUTDB_RETURN_IF_ERROR(ReadGrid(*grid, where, &spec.levels.grid));
  LUTDB_RETURN_IF_ERROR(
      fields.Unsigned("chunk", JsonFields::kOptional, 1, kMaxChunkInputs, &spec.chunk));
  double scale = 0;
  LUTDB_RETURN_IF_ERROR(
      fields.Number("scale", JsonFields::kOptional, kScaleMin, kScaleMax, &scale));
  spec.fixed_scale = static_cast<float>(scale);
  LUTDB_RETURN_IF_ERROR(fields.RefuseUnread());
  if (chunks != nullptr && chunk_given) {
    return DataLoss("{}: chunk and chunks contradict each other; give one", where);
  }
  if (chunks != nullptr) LUTDB_RETURN_IF_ERROR(ReadChunks(*chunks, where, &spec));
  if (scales != nullptr) LUTDB_RETURN_IF_ERROR(ReadInputScales(*scales, where, table));

  table->coding_given = bits != nullptr || grid != nullptr || chunk_given || chunks != nullptr;
  if (!table->coding_given) return absl::OkStatus();
  // Inputs out of place, missing or listed twice, and codes that do not fit.
  if (const auto geometry = TableGeometry::Create(spec); !geometry.ok()) {
    return DataLoss("{}: {}", where, Message(geometry.status()));
  }
  if (chunks != nullptr && scales == nullptr) BalanceMixedLevels(spec, &table->input_scales);
  return absl::OkStatus();
}

}  // namespace lutdb
