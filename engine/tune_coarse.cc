#include "engine/tune_coarse.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/status.h"
#include "engine/tune_run.h"

namespace lutdb {
namespace {

constexpr uint32_t kShiftMax = 14;  // of 15 bits and a sign

// Bits per number, were each coded by how often it occurs.
double Entropy(const std::vector<int32_t>& numbers) {
  std::map<int32_t, uint64_t> counts;  // in order: equal numbers give equal bits, to the last one
  for (const int32_t number : numbers) ++counts[number];
  double bits = 0;
  for (const auto& [number, count] : counts) {
    bits -= double(count) * std::log2(double(count) / double(numbers.size()));
  }
  return bits / double(numbers.size());
}

// What an entry takes on disk, roughly: numbers in units, or their differences along the codes, and
// slopes beneath corrections. The table is rounded so.
double BitsPerEntry(const TuneTable& table, CoarseUnit unit) {
  constexpr double kSlopeBits = 18;
  constexpr int kOrders = 3;
  std::vector<int32_t> numbers(table.entries.size());
  for (size_t row = 0; row < table.rows(); ++row) {
    for (uint32_t n = 0; n < table.neurons; ++n) {
      const size_t at = row * table.neurons + n;
      const int32_t base = unit.whole ? 0 : EntryBefore(table, row, n);
      numbers[at] = (table.Rounded(row, n) - base) / (int32_t{1} << unit.shift);
    }
  }
  double best = Entropy(numbers);
  for (int order = 1; order < kOrders; ++order) {
    for (uint32_t chunk = 0; chunk < table.chunks(); ++chunk) {
      const size_t begin = size_t{table.chunk_row[chunk]} * table.neurons;
      for (size_t at = size_t{table.chunk_row[chunk + 1]} * table.neurons;
           at-- > begin + table.neurons;) {
        numbers[at] -= numbers[at - table.neurons];
      }
    }
    best = std::min(best, Entropy(numbers));
  }
  const bool slopes = !unit.whole && std::any_of(table.initial.begin(), table.initial.end(),
                                                 [](float entry) { return entry != 0; });
  return slopes ? best + kSlopeBits * double(table.axes.size()) / table.rows() : best;
}

class Coarsener {
 public:
  Coarsener(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> train,
            absl::Span<const uint32_t> valid)
      : trainer_(trainer),
        network_(*network),
        valid_(valid),
        rounding_(trainer, network, train),
        units_(network->tables.size()) {}

  absl::Status Run(double share, bool may_round_all) {
    LUTDB_ASSIGN_OR_RETURN(const TuneFigures before, MeasureStored(trainer_, &network_, valid_));
    loss_max_ = before.loss * (1 + share);
    bool fits = false;
    for (uint32_t shift = kShiftMax; shift > 0 && !fits; --shift) {
      LUTDB_ASSIGN_OR_RETURN(fits, Take({units_.size(), {.shift = shift}}));
    }
    for (size_t t = 0; t < units_.size(); ++t) {
      if (!network_.tables[t].trained) continue;
      LUTDB_RETURN_IF_ERROR(Raise(t));
      LUTDB_RETURN_IF_ERROR(TryAnother(t, {.whole = false, .cancel = true}));
      if (!may_round_all) continue;
      LUTDB_RETURN_IF_ERROR(TryAnother(t, {.whole = true, .cancel = false}));
      LUTDB_RETURN_IF_ERROR(TryAnother(t, {.whole = true, .cancel = true}));
    }
    RoundAll(units_);
    return absl::OkStatus();
  }

  const std::vector<CoarseUnit>& units() const { return units_; }

 private:
  using Units = std::vector<CoarseUnit>;

  void RoundAll(const Units& units) {
    for (size_t t = 0; t < units.size(); ++t) {
      if (network_.tables[t].trained) rounding_.Round(t, units[t]);
    }
  }

  // Whether the loss allows it; then it is so from now on.
  absl::StatusOr<bool> Take(Units units) {
    RoundAll(units);
    LUTDB_ASSIGN_OR_RETURN(const TuneFigures after, MeasureStored(trainer_, &network_, valid_));
    if (!(after.loss <= loss_max_)) return false;
    units_ = std::move(units);
    return true;
  }

  absl::Status Raise(size_t table) {
    bool fits = true;
    while (fits && units_[table].shift < kShiftMax) {
      Units higher = units_;
      ++higher[table].shift;
      LUTDB_ASSIGN_OR_RETURN(fits, Take(std::move(higher)));
    }
    return absl::OkStatus();
  }

  // Another way of rounding one table, kept when its entries are expected to take fewer bits.
  absl::Status TryAnother(size_t table, CoarseUnit way) {
    // From coarse to fine, since the loss does not always rise with the unit.
    constexpr uint32_t kHigher = 5, kLower = 2;
    const Units before = units_;
    const uint32_t shift = before[table].shift;
    RoundAll(before);
    const double bits = BitsPerEntry(network_.tables[table], before[table]);
    bool fits = false;
    for (uint32_t at = std::min(kShiftMax, shift + kHigher); !fits; --at) {
      Units other = before;
      other[table] = way;
      other[table].shift = at;
      LUTDB_ASSIGN_OR_RETURN(fits, Take(std::move(other)));
      if (at == 0 || at + kLower == shift) break;
    }
    if (!fits) return absl::OkStatus();
    RoundAll(units_);
    if (BitsPerEntry(network_.tables[table], units_[table]) >= bits) units_ = before;
    return absl::OkStatus();
  }

  TuneTrainer& trainer_;
  TuneNetwork& network_;
  const absl::Span<const uint32_t> valid_;
  TuneRounding rounding_;
  Units units_;
  double loss_max_ = 0;
};

}  // namespace

absl::Status CoarsenEntries(TuneTrainer& trainer, TuneNetwork* network,
                            absl::Span<const uint32_t> train, absl::Span<const uint32_t> valid,
                            double share, bool may_round_all, std::vector<CoarseUnit>* units) {
  Coarsener coarsener(trainer, network, train, valid);
  LUTDB_RETURN_IF_ERROR(coarsener.Run(share, may_round_all));
  *units = coarsener.units();
  return absl::OkStatus();
}

}  // namespace lutdb
