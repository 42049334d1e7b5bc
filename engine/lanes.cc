#include "engine/lanes.h"

#include <algorithm>
#include <cstring>

namespace lutdb {
namespace {

uint64_t BytesOf(const ValueBuffer& value) {
  switch (value.type) {
    case ValueType::kF32:
      return uint64_t{value.width} * sizeof(float);
    case ValueType::kSums:
      return uint64_t{value.width} * sizeof(int32_t);
    case ValueType::kCodes:
      return uint64_t{value.width} * sizeof(uint16_t);
    case ValueType::kToken:
    case ValueType::kIndex:
      break;
  }
  return sizeof(uint32_t);
}

uint64_t Padded(uint64_t bytes) {
  return (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

const uint8_t* BufferOf(const ValueBuffer& value) {
  switch (value.type) {
    case ValueType::kF32:
      return reinterpret_cast<const uint8_t*>(value.numbers.get());
    case ValueType::kSums:
      return reinterpret_cast<const uint8_t*>(value.sums.get());
    case ValueType::kCodes:
      return reinterpret_cast<const uint8_t*>(value.codes.get());
    case ValueType::kToken:
    case ValueType::kIndex:
      break;
  }
  return reinterpret_cast<const uint8_t*>(&value.index);
}

// Whether a step keeps codes for later steps beside its output.
bool SharesCodes(const Step& step) {
  return step.codes != nullptr && step.op->kind == OpKind::kTable;
}

}  // namespace

// The smallest free slot that is large enough, or a new one.
size_t Lanes::Take(uint64_t bytes) {
  size_t best = slots_.size();
  for (size_t s = 0; s < slots_.size(); ++s) {
    if (!slots_[s].free || slots_[s].bytes < bytes) continue;
    if (best == slots_.size() || slots_[s].bytes < slots_[best].bytes) best = s;
  }
  if (best == slots_.size()) slots_.push_back({.bytes = Padded(bytes), .memory = {}});
  slots_[best].free = false;
  return best;
}

void Lanes::PlaceValues(const Plan& plan) {
  std::map<const void*, size_t> last_use;  // step that reads a value or code set last
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const ValueBuffer* input : plan.steps[i].inputs) last_use[input] = i;
    if (SharesCodes(plan.steps[i])) last_use[plan.steps[i].codes] = i;
  }
  const ValueBuffer& input = plan.values[plan.graph.input];
  last_use[&plan.values[plan.graph.output]] = plan.steps.size();
  values_[&input] = {.slot = Take(BytesOf(input)), .stride = Padded(BytesOf(input))};
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    const bool tight =
        step.output->type == ValueType::kCodes || step.output->type == ValueType::kSums;
    const uint64_t bytes = BytesOf(*step.output);
    values_[step.output] = {.slot = Take(bytes), .stride = tight ? bytes : Padded(bytes)};
    if (SharesCodes(step) && step.makes_codes) {
      const uint64_t code_bytes = uint64_t{step.codes->coder->chunks()} * sizeof(uint16_t);
      codes_[step.codes] = {.slot = Take(code_bytes), .stride = code_bytes};
    }
    // Free after the outputs were placed: a step does not write where it reads.
    for (const ValueBuffer* read : step.inputs) {
      if (last_use[read] == i) slots_[values_[read].slot].free = true;
    }
    const auto codes = codes_.find(step.codes);
    if (codes != codes_.end() && last_use[step.codes] == i) slots_[codes->second.slot].free = true;
    if (!last_use.contains(step.output)) slots_[values_[step.output].slot].free = true;
  }
}

Lanes::Lanes(const Plan& plan) {
  PlaceValues(plan);
  uint64_t widest = 1;
  for (const auto& table : plan.tables) {
    if (table != nullptr) widest = std::max<uint64_t>(widest, table->spec->neurons);
  }
  uint64_t bytes = widest * sizeof(int32_t);
  for (const Slot& slot : slots_) bytes += slot.bytes;
  count_ = static_cast<size_t>(std::clamp<uint64_t>(kBytesMax / bytes, 1, kMax));
  for (Slot& slot : slots_) slot.memory = MakeAligned<uint8_t>(slot.bytes * count_);
  acc_ = MakeAligned<int32_t>(widest * count_);
  for (const auto& [set, place] : codes_) scales_[set].resize(count_);
}

uint8_t* Lanes::Of(const ValueBuffer& value, size_t lane) {
  const Place& place = values_.at(&value);
  return slots_[place.slot].memory.get() + lane * place.stride;
}

uint16_t* Lanes::CodesOf(const CodeSet& set, size_t lane) {
  const Place& place = codes_.at(&set);
  return reinterpret_cast<uint16_t*>(slots_[place.slot].memory.get() + lane * place.stride);
}

float& Lanes::ScaleOf(const CodeSet& set, size_t lane) { return scales_.at(&set)[lane]; }

void Lanes::Load(const ValueBuffer& value, size_t lane, ValueBuffer* to) {
  std::memcpy(const_cast<uint8_t*>(BufferOf(*to)), Of(value, lane), BytesOf(value));
}

void Lanes::Store(const ValueBuffer& value, size_t lane) {
  std::memcpy(Of(value, lane), BufferOf(value), BytesOf(value));
}

}  // namespace lutdb
