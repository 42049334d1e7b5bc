#include "ingest/tensor_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/status.h"
#include "coding/entry.h"
#include "coding/hash.h"
#include "ingest/parallel.h"
#include "ingest/slope_block.h"

namespace lutdb {
namespace {

// Elements of one piece of work. Hashes of a tensor are hashes of its pieces' hashes, so this
// number is part of what plan_hash and graph_hash mean.
constexpr uint64_t kPieceElements = 1 << 18;

struct Piece {
  uint32_t tensor;
  uint64_t row_begin;
  uint64_t row_end;
};

struct PieceHashes {
  Hash128 content;
  Hash128 values;
};

std::vector<Piece> Cut(const std::vector<SourceTensor>& tensors) {
  std::vector<Piece> pieces;
  for (uint32_t id = 0; id < tensors.size(); ++id) {
    const uint64_t step = std::max<uint64_t>(1, kPieceElements / tensors[id].cols);
    for (uint64_t row = 0; row < tensors[id].rows; row += step) {
      pieces.push_back({id, row, std::min(tensors[id].rows, row + step)});
    }
  }
  return pieces;
}

// NaN and infinity have all exponent bits set: comparing magnitudes as integers finds both.
bool AllFinite(const float* values, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    largest = std::max(largest, bits & 0x7fffffffu);
  }
  return largest < 0x7f800000u;
}

absl::Status NotFinite(const SourceTensor& tensor, uint64_t row, const std::vector<float>& values) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  return DataLoss("tensor {}: row {}, column {} is {}; weights must be finite", tensor.name, row,
                  bad - values.begin(), *bad);
}

Hash128 HashOfHashes(const std::vector<Hash128>& hashes) {
  Hash128Stream stream;
  for (const Hash128& hash : hashes) {
    stream.Update(&hash.low, sizeof(hash.low));
    stream.Update(&hash.high, sizeof(hash.high));
  }
  return stream.Finish();
}

absl::Status StepOfRow(const SourceTensor& tensor, const PlannedTable& table, uint64_t row,
                       const std::vector<float>& weights, std::vector<float>* scaled, float* step) {
  if (table.spec.weight_tensor == kNone) {
    *step = table.spec.learned_step;
    return absl::OkStatus();
  }
  const std::vector<float>* used = &weights;
  if (!table.input_scales.empty() || table.spec.rotation != 0) {
    scaled->resize(weights.size());
    std::vector<float> block;
    ReadCodedWeights(tensor, table, row, 0, weights.size(), scaled->data(), &block);
    if (!AllFinite(scaled->data(), scaled->size())) return NotFinite(tensor, row, *scaled);
    used = scaled;
  }
  if (table.spec.shared_step &&
      std::all_of(used->begin(), used->end(), [](float weight) { return weight == 0; })) {
    *step = 0;  // has no say in ShareSteps
    return absl::OkStatus();
  }
  *step = StepOf(table.geometry, *used);
  if (std::isfinite(*step)) return absl::OkStatus();
  return DataLoss("tensor {}: weights of row {} are too large to code", tensor.name, row);
}

absl::Status PassOverPiece(const SourceTensor& tensor, const Piece& piece, const MappedFiles& files,
                           const std::vector<const PlannedTable*>& tables, TensorPass* pass,
                           PieceHashes* hashes) {
  const uint64_t row_bytes = tensor.cols * static_cast<uint64_t>(DTypeBytes(tensor.dtype));
  std::vector<float> row(tensor.cols), scaled;
  std::vector<uint8_t> kept(row_bytes);
  Hash128Stream content, values;
  for (uint64_t r = piece.row_begin; r < piece.row_end; ++r) {
    tensor.CopyRow(r, kept.data());
    content.Update(kept.data(), row_bytes);
    tensor.ReadRow(r, 0, tensor.cols, row.data());
    if (!AllFinite(row.data(), row.size())) return NotFinite(tensor, r, row);
    values.Update(row.data(), row.size() * sizeof(float));
    for (const PlannedTable* table : tables) {
      LUTDB_RETURN_IF_ERROR(
          StepOfRow(tensor, *table, r, row, &scaled, &pass->steps[table->spec.id][r]));
    }
  }
  *hashes = {content.Finish(), values.Finish()};
  ReleaseRows(&files, tensor, piece.row_begin, piece.row_end);
  return absl::OkStatus();
}

}  // namespace

absl::Status StepsOfRows(const SourceTensor& tensor, const PlannedTable& table, uint64_t begin,
                         uint64_t end, float* steps) {
  std::vector<float> row(tensor.cols), scaled;
  for (uint64_t r = begin; r < end; ++r) {
    tensor.ReadRow(r, 0, tensor.cols, row.data());
    if (!AllFinite(row.data(), row.size())) return NotFinite(tensor, r, row);
    LUTDB_RETURN_IF_ERROR(StepOfRow(tensor, table, r, row, &scaled, steps++));
  }
  return absl::OkStatus();
}

void ShareSteps(const PlannedTable& table, std::vector<float>* steps) {
  if (!table.spec.shared_step || steps->empty()) return;
  const float largest = *std::max_element(steps->begin(), steps->end());
  std::fill(steps->begin(), steps->end(), largest == 0 ? 1.0f : largest);
}

absl::StatusOr<TensorPass> PassOverTensors(const ModelSource& source,
                                           const std::vector<PlannedTable>& tables,
                                           unsigned threads, const std::atomic<bool>* cancel,
                                           ProgressMeter* progress) {
  const std::vector<SourceTensor>& tensors = source.tensors;
  TensorPass pass;
  std::vector<std::vector<const PlannedTable*>> users(tensors.size());
  for (const PlannedTable& table : tables) {
    pass.steps.emplace_back(table.spec.neurons, table.spec.learned_step);
    if (table.spec.weight_tensor != kNone) users[table.spec.weight_tensor].push_back(&table);
  }
  const std::vector<Piece> pieces = Cut(tensors);
  std::vector<PieceHashes> hashes(pieces.size());
  const auto pass_over = [&](uint64_t index, unsigned) {
    const Piece& piece = pieces[index];
    const SourceTensor& tensor = tensors[piece.tensor];
    LUTDB_RETURN_IF_ERROR(
        PassOverPiece(tensor, piece, source.files, users[piece.tensor], &pass, &hashes[index]));
    const uint64_t bytes = (piece.row_end - piece.row_begin) * tensor.cols *
                           static_cast<uint64_t>(DTypeBytes(tensor.dtype));
    if (progress != nullptr) progress->Add(bytes, bytes, 0);
    return absl::OkStatus();
  };
  LUTDB_RETURN_IF_ERROR(ParallelFor(pieces.size(), threads, cancel, pass_over));
  for (uint32_t id = 0; id < tables.size(); ++id) ShareSteps(tables[id], &pass.steps[id]);
  size_t next = 0;
  for (uint32_t id = 0; id < tensors.size(); ++id) {
    std::vector<Hash128> content, values;
    for (; next < pieces.size() && pieces[next].tensor == id; ++next) {
      content.push_back(hashes[next].content);
      values.push_back(hashes[next].values);
    }
    pass.contents.push_back(HashOfHashes(content));
    pass.values.push_back(HashOfHashes(values));
  }
  return pass;
}

}  // namespace lutdb
