#include "coding/cell_hash.h"

#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "coding/hash.h"

namespace lutdb {

struct CellHasher::State {
  const TableGeometry* geometry = nullptr;
  std::string prefix;  // what all cells of the table begin with
  std::string head;    // bytes of one cell before its entries
  Hash128Stream hash;
  uint64_t bytes_expected = 0;
  uint64_t bytes = 0;
};

CellHasher::CellHasher(const TableSpec& spec, const TableGeometry& geometry)
    : state_(std::make_unique<State>()) {
  state_->geometry = &geometry;
  std::string* prefix = &state_->prefix;
  AppendLittle(static_cast<uint32_t>(spec.name.size()), prefix);
  prefix->append(spec.name);
  AppendLittle(geometry.inputs(), prefix);
  AppendLittle(geometry.neurons(), prefix);
  AppendLittle(static_cast<uint8_t>(geometry.entry()), prefix);
}
CellHasher::~CellHasher() = default;
CellHasher::CellHasher(CellHasher&&) noexcept = default;

void CellHasher::Begin(uint32_t chunk, uint32_t neuron_block, absl::Span<const float> steps) {
  State& state = *state_;
  LUTDB_CHECK(!steps.empty() && steps.size() <= kBlockNeurons);
  std::string* head = &state.head;
  *head = state.prefix;
  const absl::Span<const Position> positions = state.geometry->positions(chunk);
  AppendLittle(chunk, head);
  AppendLittle(static_cast<uint32_t>(positions.size()), head);
  for (uint32_t p = 0; p < positions.size(); ++p) {
    AppendLittle(state.geometry->InputAt(chunk, p), head);
    AppendLittle(positions[p].range.min, head);
    AppendLittle(positions[p].range.max, head);
    AppendLittle(positions[p].range.stride, head);
    // Learned levels have stride 0 and are written out.
    const LevelSet* learned = positions[p].range.learned;
    if (learned == nullptr) continue;
    AppendLittle(positions[p].range.count, head);
    for (const int32_t level : learned->levels) AppendLittle(level, head);
  }
  if (const Codebook* codebook = state.geometry->codebook(); codebook != nullptr) {
    AppendLittle(state.geometry->codes(chunk), head);
    for (const int32_t level : codebook->levels) AppendLittle(level, head);
  }
  AppendLittle(neuron_block, head);
  float padded[kBlockNeurons] = {};
  std::memcpy(padded, steps.data(), steps.size() * sizeof(float));
  head->append(reinterpret_cast<const char*>(padded), sizeof(padded));
  state.hash.Reset();
  state.hash.Update(head->data(), head->size());
  state.bytes = 0;
  state.bytes_expected = uint64_t{state.geometry->codes(chunk)} * kBlockNeurons *
                         static_cast<uint64_t>(EntryBytes(state.geometry->entry()));
}

void CellHasher::Update(const void* entries, uint64_t bytes) {
  state_->hash.Update(entries, bytes);
  state_->bytes += bytes;
}

Hash128 CellHasher::Finish() {
  LUTDB_CHECK(state_->bytes == state_->bytes_expected);
  return state_->hash.Finish();
}

}  // namespace lutdb
