#include "schemas/manifest_check.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string_view>

#include "base/status.h"

namespace lutdb {
namespace {

// More chunks could overflow an int32 sum once entries are edited (design, arithmetic).
constexpr uint64_t kChunksMax = 65538;
// Codes are 16 bits; every input has at least two levels, so no chunk has more inputs than this.
constexpr uint64_t kCodesMax = 65536;
constexpr uint64_t kChunkInputsMax = 16;
// A key's neuron block is 16 bits.
constexpr uint64_t kNeuronsMax = uint64_t{65536} * kBlockNeurons;
constexpr uint64_t kTensorSideMax = uint64_t{1} << 32;
constexpr uint64_t kTensorElementsMax = uint64_t{1} << 48;

bool Between(auto value, auto low, auto high) {
  const auto number = static_cast<uint8_t>(value);
  return number >= static_cast<uint8_t>(low) && number <= static_cast<uint8_t>(high);
}

// The number of levels of one input; 0 when the level set is not valid.
uint64_t LevelCount(const TableSpec& table, const GridLevels& levels) {
  if (levels.grid == Grid::kLearned) {
    if (levels.set >= table.level_sets.size() || levels.bits > kLearnedBitsMax) return 0;
    return table.level_sets[levels.set].levels.size();
  }
  if (!Between(levels.grid, Grid::kSigned, Grid::kUnsigned)) return 0;
  if (levels.bits < 1 || levels.bits > 16) return 0;
  if (levels.grid == Grid::kUnsigned || levels.bits == 1) return uint64_t{1} << levels.bits;
  return (uint64_t{1} << levels.bits) - 1;
}

absl::Status CheckLearned(const TableSpec& table) {
  const auto in_range = [](int32_t level) {
    return level >= -kLearnedLevelMax && level <= kLearnedLevelMax;
  };
  for (size_t i = 0; i < table.level_sets.size(); ++i) {
    const auto& [levels, thresholds] = table.level_sets[i];
    const auto finite = [](float x) { return std::isfinite(x); };
    if (levels.size() < 2 || levels.size() > (size_t{1} << kLearnedBitsMax) ||
        thresholds.size() + 1 != levels.size() ||
        !std::all_of(levels.begin(), levels.end(), in_range) ||
        std::adjacent_find(levels.begin(), levels.end(), std::greater_equal<>()) != levels.end() ||
        !std::all_of(thresholds.begin(), thresholds.end(), finite) ||
        !std::is_sorted(thresholds.begin(), thresholds.end())) {
      return DataLoss("the manifest is damaged: level set {} of table {} is not valid", i,
                      table.name);
    }
  }
  const auto& [inputs, codewords] = table.codebook;
  if (inputs > kChunkInputsMax || (inputs == 0) != codewords.empty() ||
      (inputs != 0 && (inputs != table.chunk || codewords.size() % inputs != 0 ||
                       codewords.size() / inputs < 2 || codewords.size() / inputs > kCodesMax ||
                       !table.chunks.empty() || table.levels.bits > kLearnedBitsMax)) ||
      !std::all_of(codewords.begin(), codewords.end(), in_range)) {
    return DataLoss("the manifest is damaged: the codebook of table {} is not valid", table.name);
  }
  if (table.rotation != 0 && (table.rotation < 2 || table.rotation > kRotationMax ||
                              (table.rotation & (table.rotation - 1)) != 0)) {
    return DataLoss("the manifest is damaged: table {} has a rotation over blocks of {}",
                    table.name, table.rotation);
  }
  return absl::OkStatus();
}

absl::Status CheckConsecutive(const TableSpec& table) {
  const uint64_t levels = LevelCount(table, table.levels);
  if (levels == 0) {
    return DataLoss("the manifest is damaged: levels of table {} (grid {}, {} bits)", table.name,
                    static_cast<int>(table.levels.grid), table.levels.bits);
  }
  if (table.chunk < 1 || table.chunk > kChunkInputsMax) {
    return DataLoss("the manifest is damaged: table {} has chunks of {} inputs", table.name,
                    table.chunk);
  }
  uint64_t codes = 1;
  const bool grid = table.codebook.inputs == 0;
  for (uint32_t i = 0; grid && i < table.chunk && codes <= kCodesMax; ++i) codes *= levels;
  if (codes > kCodesMax) {
    return DataLoss("the manifest is damaged: codes of table {} exceed 16 bits", table.name);
  }
  if ((uint64_t{table.inputs} + table.chunk - 1) / table.chunk > kChunksMax) {
    return DataLoss("the manifest is damaged: table {} has more than {} chunks", table.name,
                    kChunksMax);
  }
  return absl::OkStatus();
}

absl::Status CheckLists(const TableSpec& table) {
  if (table.chunks.size() > kChunksMax) {
    return DataLoss("the manifest is damaged: table {} has more than {} chunks", table.name,
                    kChunksMax);
  }
  std::vector<bool> covered(table.inputs);
  for (size_t c = 0; c < table.chunks.size(); ++c) {
    const ChunkSpec& chunk = table.chunks[c];
    uint64_t codes = chunk.inputs.empty() ? 0 : 1;
    if (chunk.levels.size() != chunk.inputs.size()) codes = 0;
    for (size_t i = 0; i < chunk.inputs.size() && codes != 0; ++i) {
      codes *= LevelCount(table, chunk.levels[i]);
      if (codes > kCodesMax || chunk.inputs[i] >= table.inputs) codes = 0;
      if (codes != 0) covered[chunk.inputs[i]] = true;
    }
    if (codes == 0) {
      return DataLoss("the manifest is damaged: chunk {} of table {} is not valid", c, table.name);
    }
  }
  for (size_t i = 0; i < covered.size(); ++i) {
    if (!covered[i]) {
      return DataLoss("the manifest is damaged: input {} of table {} is in no chunk", i,
                      table.name);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTable(const TableSpec& table, const std::vector<TensorSpec>& tensors) {
  if (!Between(table.entry, EntryType::kI8, EntryType::kI16) ||
      !Between(table.layout, Layout::kTile, Layout::kRow) ||
      !Between(table.codec, Codec::kSmallest, Codec::kRaw)) {
    return DataLoss("the manifest is damaged: table {} has entry type {}, layout {}, codec {}",
                    table.name, static_cast<int>(table.entry), static_cast<int>(table.layout),
                    static_cast<int>(table.codec));
  }
  if (table.inputs == 0 || table.inputs > kChunksMax * kChunkInputsMax || table.neurons == 0 ||
      table.neurons > kNeuronsMax) {
    return DataLoss("the manifest is damaged: table {} has {} inputs and {} neurons", table.name,
                    table.inputs, table.neurons);
  }
  if (!std::isfinite(table.fixed_scale) || table.fixed_scale < 0) {
    return DataLoss("the manifest is damaged: table {} has the input scale {}", table.name,
                    table.fixed_scale);
  }
  if (!std::isfinite(table.learned_step) || table.learned_step < 0) {
    return DataLoss("the manifest is damaged: table {} has the step {}", table.name,
                    table.learned_step);
  }
  const struct {
    uint32_t id;
    uint64_t rows, cols;
  } needed[] = {{table.weight_tensor, table.neurons, table.inputs},
                {table.bias_tensor, 1, table.neurons}};
  for (const auto& need : needed) {
    if (need.id == kNone) continue;
    if (need.id >= tensors.size() || tensors[need.id].rows != need.rows ||
        tensors[need.id].cols != need.cols) {
      return DataLoss("the manifest is damaged: table {} needs tensor {} to be {} x {}", table.name,
                      need.id, need.rows, need.cols);
    }
  }
  LUTDB_RETURN_IF_ERROR(CheckLearned(table));
  return table.chunks.empty() ? CheckConsecutive(table) : CheckLists(table);
}

absl::Status CheckTensor(const TensorSpec& tensor) {
  if (!Between(tensor.dtype, DType::kF32, DType::kBF16)) {
    return DataLoss("the manifest is damaged: tensor {} has element type {}", tensor.name,
                    static_cast<int>(tensor.dtype));
  }
  if (tensor.rows == 0 || tensor.cols == 0 || tensor.rows >= kTensorSideMax ||
      tensor.cols >= kTensorSideMax || tensor.rows > kTensorElementsMax / tensor.cols ||
      tensor.rows_per_record == 0) {
    return DataLoss("the manifest is damaged: tensor {} is {} x {}, {} rows per record",
                    tensor.name, tensor.rows, tensor.cols, tensor.rows_per_record);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateManifest(const Manifest& manifest) {
  if (manifest.format_version == 0 || manifest.generation == 0) {
    return DataLoss("the manifest is damaged: format version {}, generation {}",
                    manifest.format_version, manifest.generation);
  }
  if (manifest.stats.size() != manifest.tables.size() ||
      manifest.tensor_stored_bytes.size() != manifest.tensors.size()) {
    return DataLoss("the manifest is damaged: {} tables with {} sizes, {} tensors with {}",
                    manifest.tables.size(), manifest.stats.size(), manifest.tensors.size(),
                    manifest.tensor_stored_bytes.size());
  }
  for (const TensorSpec& tensor : manifest.tensors) LUTDB_RETURN_IF_ERROR(CheckTensor(tensor));
  std::set<std::string_view> names;
  for (const TableSpec& table : manifest.tables) {
    if (table.name.empty() || !names.insert(table.name).second) {
      return DataLoss("the manifest is damaged: two tables are called \"{}\", or one nothing",
                      table.name);
    }
    LUTDB_RETURN_IF_ERROR(CheckTable(table, manifest.tensors));
  }
  return absl::OkStatus();
}

}  // namespace lutdb
