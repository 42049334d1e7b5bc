#include "coding/patch_columns.h"

#include "base/status.h"
#include "coding/difference_planes.h"
#include "coding/planes.h"

namespace lutdb {
namespace {

constexpr size_t kNone = SIZE_MAX;

// What a column of values holds; one byte before it. Persisted: never renumber.
enum class Column : uint8_t {
  kValues = 0,   // as they are
  kChanges = 1,  // less the value before
};

// The place of the same neuron's entry at the code before, or kNone where the patch has none.
std::vector<size_t> PlacesBefore(const TileDeltas& deltas) {
  std::vector<size_t> places(deltas.size(), kNone);
  size_t at = 0;
  for (size_t i = 0; i < deltas.size(); ++i) {
    if (deltas[i].index < kBlockNeurons) continue;
    const uint32_t wanted = deltas[i].index - kBlockNeurons;
    while (deltas[at].index < wanted) ++at;
    if (deltas[at].index == wanted) places[i] = at;
  }
  return places;
}

void Difference(const std::vector<size_t>& before, Numbers* numbers) {
  for (size_t i = numbers->size(); i-- > 0;) {
    if (before[i] == kNone) continue;
    (*numbers)[i] = static_cast<uint16_t>((*numbers)[i] - (*numbers)[before[i]]);
  }
}

void Integrate(const std::vector<size_t>& before, Numbers* numbers) {
  for (size_t i = 0; i < numbers->size(); ++i) {
    if (before[i] == kNone) continue;
    (*numbers)[i] = static_cast<uint16_t>((*numbers)[i] + (*numbers)[before[i]]);
  }
}

std::string ColumnOf(Column kind, Numbers numbers, const std::vector<size_t>& before) {
  const auto difference = [&](Numbers* of) { Difference(before, of); };
  return DifferencePlanes(static_cast<char>(kind), difference, &numbers);
}

bool ReadColumn(std::string_view* body, const std::vector<size_t>& before, Column* kind,
                Numbers* numbers) {
  if (body->empty()) return false;
  const auto byte = static_cast<uint8_t>(body->front());
  if (byte > static_cast<uint8_t>(Column::kChanges)) return false;
  *kind = static_cast<Column>(byte);
  numbers->resize(before.size());
  return ReadDifferencePlanes(
      body, [&](Numbers* of) { Integrate(before, of); }, numbers);
}

}  // namespace

void AppendPatchColumns(const TileDeltas& deltas, bool with_before, std::string* out) {
  const size_t count = deltas.size();
  std::vector<uint32_t> gaps(count);
  Numbers old_values(count), values(count), changes(count);
  uint32_t next = 0;
  for (size_t i = 0; i < count; ++i) {
    gaps[i] = deltas[i].index - next;
    next = deltas[i].index + 1;
    old_values[i] = static_cast<uint16_t>(deltas[i].before);
    values[i] = static_cast<uint16_t>(deltas[i].after);
    changes[i] = static_cast<uint16_t>(values[i] - old_values[i]);
  }
  AppendPlanes(gaps.data(), count, sizeof(uint32_t), out);
  const std::vector<size_t> before = PlacesBefore(deltas);
  if (with_before) out->append(ColumnOf(Column::kValues, std::move(old_values), before));
  std::string best = ColumnOf(Column::kValues, std::move(values), before);
  if (with_before) {
    std::string other = ColumnOf(Column::kChanges, std::move(changes), before);
    if (other.size() < best.size()) best.swap(other);
  }
  out->append(best);
}

bool ReadPatchColumns(std::string_view body, size_t count, bool with_before, TileDeltas* deltas) {
  std::vector<uint32_t> gaps(count);
  if (!ReadPlanes(&body, count, sizeof(uint32_t), gaps.data()).ok()) return false;
  deltas->resize(count);
  uint64_t next = 0;
  for (size_t i = 0; i < count; ++i) {
    next += gaps[i];
    if (next >= UINT32_MAX) return false;
    (*deltas)[i] = {.index = static_cast<uint32_t>(next++)};
  }
  const std::vector<size_t> before = PlacesBefore(*deltas);
  Column kind = Column::kValues;
  Numbers old_values(count), values;
  if (with_before && !ReadColumn(&body, before, &kind, &old_values)) return false;
  if (kind != Column::kValues || !ReadColumn(&body, before, &kind, &values)) return false;
  if (!body.empty() || (kind == Column::kChanges && !with_before)) return false;
  for (size_t i = 0; i < count; ++i) {
    const auto base = static_cast<uint16_t>(kind == Column::kChanges ? old_values[i] : 0);
    (*deltas)[i].before = static_cast<int16_t>(old_values[i]);
    (*deltas)[i].after = static_cast<int16_t>(static_cast<uint16_t>(base + values[i]));
  }
  return true;
}

}  // namespace lutdb
