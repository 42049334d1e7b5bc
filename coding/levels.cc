#include "coding/levels.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.h"
#include "base/status.h"

namespace lutdb {
namespace {

// A neuron block of a key is 16 bits wide.
constexpr uint32_t kMaxNeurons = 65536u * kBlockNeurons;
constexpr uint64_t kTileBytes = 256 * 1024;
constexpr uint32_t kMaxTileChunks = 8;

bool InRange(int32_t level) { return level >= -kLearnedLevelMax && level <= kLearnedLevelMax; }

absl::Status CheckLevels(const TableSpec& spec, GridLevels levels) {
  if (levels.grid == Grid::kLearned) {
    if (levels.set < spec.level_sets.size() && levels.bits >= 1 && levels.bits <= kLearnedBitsMax) {
      return absl::OkStatus();
    }
    return InvalidArgument("table {}: learned levels of {} bits, set {} of {}; 8 bits are the most",
                           spec.name, levels.bits, levels.set, spec.level_sets.size());
  }
  if (levels.bits < 1 || levels.bits > 16) {
    return InvalidArgument("table {}: inputs of {} bits; choose 1 to 16", spec.name, levels.bits);
  }
  if (levels.grid != Grid::kSigned && levels.grid != Grid::kUnsigned) {
    return InvalidArgument("table {}: unknown grid {}", spec.name, static_cast<int>(levels.grid));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const TableSpec& spec) {
  if (spec.inputs == 0 || spec.neurons == 0) {
    return InvalidArgument("table {}: {} inputs and {} neurons; both must be at least 1", spec.name,
                           spec.inputs, spec.neurons);
  }
  if (spec.neurons > kMaxNeurons) {
    return InvalidArgument("table {}: {} neurons; at most {} are possible", spec.name, spec.neurons,
                           kMaxNeurons);
  }
  if (spec.entry != EntryType::kI8 && spec.entry != EntryType::kI16) {
    return InvalidArgument("table {}: unknown entry type {}", spec.name,
                           static_cast<int>(spec.entry));
  }
  return absl::OkStatus();
}

absl::Status TooManyChunks(const TableSpec& spec, uint64_t chunks) {
  return InvalidArgument("table {}: {} chunks; an int32 sum holds at most {}, use longer chunks",
                         spec.name, chunks, kMaxChunks);
}

// Fills in the places of one chunk, last position fastest; the number of codes.
absl::StatusOr<uint32_t> SetPlaces(const TableSpec& spec, Position* positions, size_t count) {
  uint64_t codes = 1;
  for (size_t i = count; i-- > 0;) {
    positions[i].place = static_cast<uint32_t>(codes);
    codes *= positions[i].range.count;
    if (codes > kMaxCodes) {
      return InvalidArgument(
          "table {}: a chunk of {} inputs has more than {} codes; use fewer bits or shorter chunks",
          spec.name, count, kMaxCodes);
    }
  }
  return static_cast<uint32_t>(codes);
}

uint32_t CodesOf(absl::Span<const Position> positions) {
  return positions[0].place * positions[0].range.count;
}

}  // namespace

LevelRange RangeOf(GridLevels levels) {
  if (levels.grid == Grid::kUnsigned) {
    const int32_t max = (1 << levels.bits) - 1;
    return {.min = 0, .max = max, .stride = 1, .count = static_cast<uint32_t>(max) + 1};
  }
  if (levels.bits == 1) return {.min = -1, .max = 1, .stride = 2, .count = 2};
  const int32_t max = (1 << (levels.bits - 1)) - 1;
  return {.min = -max, .max = max, .stride = 1, .count = static_cast<uint32_t>(2 * max) + 1};
}

bool LevelRange::symmetric() const {
  if (learned == nullptr) return min == -max;
  for (uint32_t i = 0; i < count; ++i) {
    if (learned->levels[i] != -learned->levels[count - 1 - i]) return false;
  }
  return true;
}

uint32_t LevelRange::zero_index() const {
  if (learned == nullptr) {
    return stride == 1 && min <= 0 && max >= 0 ? static_cast<uint32_t>(-min) : kNone;
  }
  const auto at = std::lower_bound(learned->levels.begin(), learned->levels.end(), 0);
  if (at == learned->levels.end() || *at != 0) return kNone;
  return static_cast<uint32_t>(at - learned->levels.begin());
}

absl::Status CheckLevelSet(const LevelSet& set) {
  const auto& levels = set.levels;
  if (levels.size() < 2 || levels.size() > size_t{1} << kLearnedBitsMax) {
    return InvalidArgument("{} levels; 2 to {} are possible", levels.size(), 1 << kLearnedBitsMax);
  }
  if (!std::all_of(levels.begin(), levels.end(), InRange) ||
      std::adjacent_find(levels.begin(), levels.end(), std::greater_equal<>()) != levels.end()) {
    return InvalidArgument("levels must ascend from -{0} to {0} at most", kLearnedLevelMax);
  }
  if (set.thresholds.size() + 1 != levels.size()) {
    return InvalidArgument("{} thresholds between {} levels; one fewer is needed",
                           set.thresholds.size(), levels.size());
  }
  if (!std::all_of(set.thresholds.begin(), set.thresholds.end(),
                   [](float x) { return std::isfinite(x); }) ||
      !std::is_sorted(set.thresholds.begin(), set.thresholds.end())) {
    return InvalidArgument("thresholds must be finite and ascend");
  }
  return absl::OkStatus();
}

// Takes copies, which ranges point into.
absl::Status TableGeometry::KeepLearned(const TableSpec& spec) {
  for (size_t i = 0; i < spec.level_sets.size(); ++i) {
    const absl::Status checked = CheckLevelSet(spec.level_sets[i]);
    if (!checked.ok()) {
      return InvalidArgument("table {}, level set {}: {}", spec.name, i, Message(checked));
    }
  }
  if (!spec.level_sets.empty()) {
    level_sets_ = std::make_shared<const std::vector<LevelSet>>(spec.level_sets);
  }
  if (spec.rotation != 0 && (spec.rotation < 2 || spec.rotation > kRotationMax ||
                             (spec.rotation & (spec.rotation - 1)) != 0)) {
    return InvalidArgument("table {}: a rotation over blocks of {}; powers of two up to {} are",
                           spec.name, spec.rotation, kRotationMax);
  }
  return absl::OkStatus();
}

absl::StatusOr<LevelRange> TableGeometry::RangeIn(const TableSpec& spec,
                                                  const GridLevels& levels) const {
  LUTDB_RETURN_IF_ERROR(CheckLevels(spec, levels));
  if (levels.grid != Grid::kLearned) return RangeOf(levels);
  const LevelSet& set = (*level_sets_)[levels.set];
  return LevelRange{.min = set.levels.front(),
                    .max = set.levels.back(),
                    .stride = 0,
                    .count = static_cast<uint32_t>(set.levels.size()),
                    .learned = &set};
}

// Every position ranges over what the codewords have there; a code is a codeword's number.
absl::Status TableGeometry::FillCodebook(const TableSpec& spec) {
  const std::vector<int32_t>& levels = spec.codebook.levels;
  const size_t g = spec.codebook.inputs;
  const size_t codewords = levels.size() / g;
  if (g != spec.chunk || levels.size() % g != 0 || codewords < 2 || codewords > kMaxCodes ||
      !std::all_of(levels.begin(), levels.end(), InRange)) {
    return InvalidArgument("table {}: a codebook of {} numbers for chunks of {} inputs", spec.name,
                           levels.size(), spec.chunk);
  }
  codebook_ = std::make_shared<const Codebook>(spec.codebook);
  codes_max_ = static_cast<uint32_t>(codewords);
  for (size_t p = 0; p < g; ++p) {
    LevelRange& range = positions_[p].range;
    range = {.min = levels[p], .max = levels[p], .stride = 0, .count = codes_max_};
    for (size_t code = 0; code < codewords; ++code) {
      range.min = std::min(range.min, levels[code * g + p]);
      range.max = std::max(range.max, levels[code * g + p]);
    }
    positions_[p].place = 1;
  }
  return absl::OkStatus();
}

// Consecutive chunks: one chunk's positions stand for all, so that the cost does not depend on K.
absl::Status TableGeometry::FillUniform(const TableSpec& spec) {
  const bool grid = spec.codebook.inputs == 0;
  LevelRange range;
  if (grid) {
    LUTDB_ASSIGN_OR_RETURN(range, RangeIn(spec, spec.levels));
  }
  if (spec.chunk < 1 || spec.chunk > kMaxChunkInputs) {
    return InvalidArgument("table {}: chunks of {} inputs; choose 1 to {}", spec.name, spec.chunk,
                           kMaxChunkInputs);
  }
  const uint64_t chunks = (static_cast<uint64_t>(spec.inputs) + spec.chunk - 1) / spec.chunk;
  if (chunks > kMaxChunks) return TooManyChunks(spec, chunks);
  chunk_count_ = static_cast<uint32_t>(chunks);
  max_bits_ = grid ? spec.levels.bits : 8;
  even_steps_ = grid && range.learned == nullptr;
  positions_.resize(spec.chunk);
  for (uint32_t i = 0; i < spec.chunk; ++i) {
    positions_[i].input = i;
    positions_[i].range = range;
  }
  if (!grid) return FillCodebook(spec);
  LUTDB_ASSIGN_OR_RETURN(codes_max_, SetPlaces(spec, positions_.data(), positions_.size()));
  return absl::OkStatus();
}

absl::Status TableGeometry::AppendChunk(const TableSpec& spec, uint32_t index,
                                        std::vector<uint32_t>* last_chunk_of_input) {
  const ChunkSpec& chunk = spec.chunks[index];
  if (chunk.inputs.empty() || chunk.inputs.size() > kMaxChunkInputs ||
      chunk.levels.size() != chunk.inputs.size()) {
    return InvalidArgument("table {}: chunk {} has {} inputs and {} levels; give 1 to {} of each",
                           spec.name, index, chunk.inputs.size(), chunk.levels.size(),
                           kMaxChunkInputs);
  }
  const size_t first = positions_.size();
  for (size_t i = 0; i < chunk.inputs.size(); ++i) {
    LUTDB_ASSIGN_OR_RETURN(const LevelRange range, RangeIn(spec, chunk.levels[i]));
    const uint32_t input = chunk.inputs[i];
    if (input >= spec.inputs) {
      return InvalidArgument("table {}: chunk {} lists input {} of a layer with {} inputs",
                             spec.name, index, input, spec.inputs);
    }
    uint32_t& last_chunk = (*last_chunk_of_input)[input];
    if (last_chunk == index) {
      return InvalidArgument("table {}: chunk {} lists input {} twice", spec.name, index, input);
    }
    Position position;
    position.input = input;
    position.range = range;
    even_steps_ = even_steps_ && range.learned == nullptr;
    position.owns = last_chunk == kNone;
    last_chunk = index;
    max_bits_ = std::max<uint32_t>(max_bits_, chunk.levels[i].bits);
    positions_.push_back(position);
  }
  LUTDB_ASSIGN_OR_RETURN(const uint32_t codes,
                         SetPlaces(spec, positions_.data() + first, positions_.size() - first));
  codes_max_ = std::max(codes_max_, codes);
  first_position_.push_back(static_cast<uint32_t>(positions_.size()));
  return absl::OkStatus();
}

absl::Status TableGeometry::FillLists(const TableSpec& spec) {
  if (spec.codebook.inputs != 0) {
    return InvalidArgument("table {}: a codebook is for consecutive chunks, not for lists",
                           spec.name);
  }
  if (spec.chunks.size() > kMaxChunks) return TooManyChunks(spec, spec.chunks.size());
  chunk_count_ = static_cast<uint32_t>(spec.chunks.size());
  first_position_.reserve(chunk_count_ + 1);
  first_position_.push_back(0);
  std::vector<uint32_t> last_chunk_of_input(spec.inputs, kNone);
  for (uint32_t c = 0; c < chunk_count_; ++c) {
    LUTDB_RETURN_IF_ERROR(AppendChunk(spec, c, &last_chunk_of_input));
  }
  for (uint32_t input = 0; input < spec.inputs; ++input) {
    if (last_chunk_of_input[input] == kNone) {
      return InvalidArgument("table {}: no chunk lists input {}; every input needs one", spec.name,
                             input);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TableGeometry> TableGeometry::Create(const TableSpec& spec) {
  LUTDB_RETURN_IF_ERROR(CheckShape(spec));
  TableGeometry geometry;
  geometry.inputs_ = spec.inputs;
  geometry.neurons_ = spec.neurons;
  geometry.entry_ = spec.entry;
  geometry.mirror_ = spec.mirror;
  geometry.free_zero_ = spec.free_zero;
  LUTDB_RETURN_IF_ERROR(geometry.KeepLearned(spec));
  LUTDB_RETURN_IF_ERROR(spec.chunks.empty() ? geometry.FillUniform(spec)
                                            : geometry.FillLists(spec));
  geometry.slope_shift_ = geometry.max_bits_ > 8 ? 32 : spec.entry == EntryType::kI8 ? 24 : 16;
  const uint64_t chunk_bytes =
      uint64_t{kBlockNeurons} * geometry.codes_max_ * EntryBytes(spec.entry);
  geometry.tile_chunks_ =
      static_cast<uint32_t>(std::clamp<uint64_t>(kTileBytes / chunk_bytes, 1, kMaxTileChunks));
  return geometry;
}

absl::Span<const Position> TableGeometry::positions(uint32_t chunk) const {
  if (uniform()) return positions_;
  LUTDB_DCHECK(chunk < chunk_count_);
  const uint32_t first = first_position_[chunk];
  return absl::Span<const Position>(positions_.data() + first, first_position_[chunk + 1] - first);
}

uint32_t TableGeometry::InputAt(uint32_t chunk, uint32_t position) const {
  if (!uniform()) return positions(chunk)[position].input;
  const uint64_t input = uint64_t{chunk} * positions_.size() + position;
  return input < inputs_ ? static_cast<uint32_t>(input) : kPadding;
}

uint32_t TableGeometry::codes(uint32_t chunk) const {
  return uniform() ? codes_max_ : CodesOf(positions(chunk));
}

uint64_t TableGeometry::codes_total() const {
  if (uniform()) return uint64_t{chunk_count_} * codes_max_;
  uint64_t total = 0;
  for (uint32_t c = 0; c < chunk_count_; ++c) total += codes(c);
  return total;
}

void TableGeometry::LevelsOf(uint32_t chunk, uint32_t code, int32_t* levels) const {
  if (codebook_ != nullptr) {
    std::copy_n(codebook_->levels.data() + size_t{code} * codebook_->inputs, codebook_->inputs,
                levels);
    return;
  }
  for (const Position& position : positions(chunk)) {
    *levels++ = position.range.level(code / position.place % position.range.count);
  }
}

uint32_t TableGeometry::ZeroCode(uint32_t chunk) const {
  if (free_zero_) return kNone;
  if (codebook_ != nullptr) {
    for (uint32_t code = 0; code < codes_max_; ++code) {
      const auto word = codebook_->levels.begin() + size_t{code} * codebook_->inputs;
      if (std::all_of(word, word + codebook_->inputs, [](int32_t l) { return l == 0; }))
        return code;
    }
    return kNone;
  }
  uint32_t code = 0;
  for (const Position& position : positions(chunk)) {
    const uint32_t index = position.range.zero_index();
    if (index == kNone) return kNone;
    code += index * position.place;
  }
  return code;
}

bool TableGeometry::symmetric(uint32_t chunk) const {
  if (codebook_ != nullptr) return false;
  for (const Position& position : positions(chunk)) {
    if (!position.range.symmetric()) return false;
  }
  return true;
}

uint32_t TableGeometry::stored_codes(uint32_t chunk) const {
  const uint32_t all = codes(chunk);
  return mirror_ && symmetric(chunk) ? all - all / 2 : all;
}

// The upper half of a symmetric chunk starts at codes / 2: the zero code when there is one.
TableGeometry::StoredRow TableGeometry::Stored(uint32_t chunk, uint32_t code) const {
  const uint32_t all = codes(chunk);
  LUTDB_DCHECK(code < all);
  if (!mirror_ || !symmetric(chunk)) return {code, false};
  const uint32_t half = all / 2;
  return code >= half ? StoredRow{code - half, false} : StoredRow{all - 1 - code - half, true};
}

uint32_t TableGeometry::CodeOfStored(uint32_t chunk, uint32_t index) const {
  return mirror_ && symmetric(chunk) ? index + codes(chunk) / 2 : index;
}

}  // namespace lutdb
