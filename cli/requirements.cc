#include "cli/requirements.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <tuple>

#include "base/status.h"
#include "cli/entry_edits.h"
#include "cli/patch_reader.h"

namespace lutdb::cli {
namespace {

constexpr size_t kEntriesAtATime = 1 << 20;

// The codes of a chunk as a grid: along an axis, `count` levels that ascend with the code, `stride`
// codes apart.
struct Axis {
  uint32_t count = 1;
  uint32_t stride = 1;
};
struct ChunkGrid {
  uint32_t codes = 0;
  std::vector<Axis> axes;  // empty: the codes have no order along levels
};

// Finds the axes in the level values of all codes, last input first.
ChunkGrid GridOf(const std::vector<std::vector<double>>& levels) {
  ChunkGrid grid;
  grid.codes = static_cast<uint32_t>(levels.size());
  uint32_t stride = 1;
  for (size_t p = levels.empty() ? 0 : levels[0].size(); p-- > 0;) {
    uint32_t count = 1;
    while (uint64_t{count} * stride < grid.codes &&
           levels[size_t{count} * stride][p] > levels[size_t{count - 1} * stride][p]) {
      ++count;
    }
    for (uint32_t code = 0; code < grid.codes; ++code) {
      if (levels[code][p] != levels[size_t{code / stride % count} * stride][p])
        return {grid.codes, {}};
    }
    grid.axes.push_back({count, stride});
    stride *= count;
  }
  if (stride != grid.codes) grid.axes.clear();
  return grid;
}

// The code at which entries turn along an axis; codes when they do not.
uint32_t FindTurn(const ChunkGrid& grid, const Axis& axis, const int16_t* entries) {
  int direction = 0;
  for (uint32_t code = 0; code < grid.codes; ++code) {
    if (code / axis.stride % axis.count == 0) continue;
    const int change = entries[code] - entries[code - axis.stride];
    if (change == 0) continue;
    if (direction != 0 && (change > 0) != (direction > 0)) return code;
    direction = change;
  }
  return grid.codes;
}

class Checker {
 public:
  Checker(const Requirements& requirements, const Store& store)
      : requirements_(requirements), store_(store) {}

  absl::Status Check(absl::Span<const EntryChange> changes) {
    std::vector<const EntryChange*> sorted;
    sorted.reserve(changes.size());
    for (const EntryChange& change : changes) sorted.push_back(&change);
    const auto place = [](const EntryChange* c) {
      return std::tie(c->table, c->chunk, c->neuron, c->code);
    };
    std::sort(sorted.begin(), sorted.end(),
              [&](const EntryChange* a, const EntryChange* b) { return place(a) < place(b); });
    for (size_t begin = 0; begin < sorted.size();) {
      size_t end = begin;
      while (end < sorted.size() && SameCell(*sorted[end], *sorted[begin])) ++end;
      LUTDB_RETURN_IF_ERROR(Add({sorted.data() + begin, end - begin}));
      begin = end;
    }
    return Flush();
  }

 private:
  using ChangeList = absl::Span<const EntryChange* const>;
  struct Cell {
    EntryKey key;  // code 0
    const ChunkGrid* grid = nullptr;
    ChangeList changes;
  };

  static bool SameCell(const EntryChange& a, const EntryChange& b) {
    return a.table == b.table && a.chunk == b.chunk && a.neuron == b.neuron;
  }

  absl::Status Add(ChangeList changes) {
    const EntryChange& first = *changes.front();
    const EntryKey key = {first.table, first.neuron, first.chunk, 0};
    LUTDB_ASSIGN_OR_RETURN(const ChunkGrid* grid, Grid(key));
    cells_.push_back({key, grid, changes});
    for (uint32_t code = 0; code < grid->codes; ++code) {
      keys_.push_back({key.table, key.neuron, key.chunk, code});
    }
    return keys_.size() < kEntriesAtATime ? absl::OkStatus() : Flush();
  }

  absl::StatusOr<const ChunkGrid*> Grid(const EntryKey& key) {
    const TableInfo& table = store_.info().tables[key.table];
    // Chunks of a table on one grid are all alike.
    const uint32_t chunk = table.coding == "lists" ? key.chunk : 0;
    const auto [it, added] = grids_.try_emplace({key.table, chunk});
    if (added) {
      LUTDB_ASSIGN_OR_RETURN(const Lookup lookup,
                             store_.Get(fmt::format("{}[0:1, {}, :]", table.name, chunk)));
      it->second = GridOf(lookup.levels);
    }
    if (requirements_.monotone && it->second.axes.empty()) {
      return FailedPrecondition(
          "{}: the codes of chunk {} have no order along levels, so nothing can be monotone in "
          "them",
          table.name, key.chunk);
    }
    return &it->second;
  }

  absl::Status Flush() {
    std::vector<int16_t> entries(keys_.size());
    LUTDB_RETURN_IF_ERROR(store_.GetEntries(keys_, absl::MakeSpan(entries)));
    int16_t* next = entries.data();
    for (const Cell& cell : cells_) {
      for (const EntryChange* change : cell.changes) next[change->code] = change->after;
      LUTDB_RETURN_IF_ERROR(CheckCell(cell, next));
      next += cell.grid->codes;
    }
    keys_.clear();
    cells_.clear();
    return absl::OkStatus();
  }

  absl::Status CheckCell(const Cell& cell, const int16_t* entries) {
    EntryKey at = cell.key;
    if (requirements_.bounds.has_value()) {
      if (steps_[at.table].empty()) {
        LUTDB_ASSIGN_OR_RETURN(steps_[at.table], StepsOf(store_, at.table));
      }
      const double step = steps_[at.table][at.neuron];
      const auto [least, most] = *requirements_.bounds;
      for (at.code = 0; at.code < cell.grid->codes; ++at.code) {
        const double value = entries[at.code] * step;
        if (value >= least && value <= most) continue;
        return FailedPrecondition(
            "{} would be {:.6g} (raw {}), outside the required bounds {:g} .. {:g}; nothing was "
            "changed",
            EntryAddress(store_.info(), at), value, entries[at.code], least, most);
      }
    }
    if (!requirements_.monotone) return absl::OkStatus();
    for (const Axis& axis : cell.grid->axes) {
      at.code = FindTurn(*cell.grid, axis, entries);
      if (at.code == cell.grid->codes) continue;
      const int before = entries[at.code - axis.stride];
      return FailedPrecondition(
          "{} would not be monotone along the levels: from code {} to {} the entries {} from {} to "
          "{}, elsewhere the other way; nothing was changed",
          fmt::format("{}[{}, {}, :]", store_.info().tables[at.table].name, at.neuron, at.chunk),
          at.code - axis.stride, at.code, entries[at.code] > before ? "rise" : "fall", before,
          entries[at.code]);
    }
    return absl::OkStatus();
  }

  const Requirements& requirements_;
  const Store& store_;
  std::map<std::pair<uint32_t, uint32_t>, ChunkGrid> grids_;
  std::map<uint32_t, std::vector<float>> steps_;
  std::vector<Cell> cells_;
  std::vector<EntryKey> keys_;
};

bool ParseNumber(const std::string& text, double* value) {
  char* end = nullptr;
  *value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && std::isfinite(*value);
}

}  // namespace

std::vector<std::string> Requirements::Words() const {
  std::vector<std::string> words;
  if (monotone) words.emplace_back("monotone");
  if (bounds.has_value()) {
    words.push_back(fmt::format("bounds={}:{}", bounds->first, bounds->second));
  }
  return words;
}

absl::StatusOr<Requirements> ParseRequirements(const std::string& text) {
  Requirements requirements;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, comma - begin);
    begin = comma + 1;
    const size_t colon = word.find(':');
    double least = 0, most = 0;
    if (word == "monotone" && !requirements.monotone) {
      requirements.monotone = true;
    } else if (word.rfind("bounds=", 0) == 0 && colon != std::string::npos &&
               !requirements.bounds.has_value() && ParseNumber(word.substr(7, colon - 7), &least) &&
               ParseNumber(word.substr(colon + 1), &most) && least <= most) {
      requirements.bounds = {least, most};
    } else {
      return InvalidArgument(
          "--require takes monotone and bounds=A:B (real numbers, A <= B), not '{}'", word);
    }
  }
  return requirements;
}

absl::Status CheckRequirements(const Requirements& requirements, const Store& store,
                               absl::Span<const EntryChange> changes) {
  if (!requirements.any()) return absl::OkStatus();
  return Checker(requirements, store).Check(changes);
}

}  // namespace lutdb::cli
