#include "ingest/calibrate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "ingest/coding_error.h"
#include "ingest/parallel.h"
#include "lutdb/calibration.h"

namespace lutdb {
namespace {

constexpr int kBudgetBitsMin = 2;
constexpr uint32_t kRotationBlock = 1024;  // the largest block; mixes enough, costs 10 additions

absl::Status CheckOptions(const ModelSource& source, const BuildOptions& options) {
  const bool samples = options.calibration != nullptr;
  if (!samples &&
      (options.levels != LevelsFrom::kGrid || options.codes != 0 || options.budget_bytes != 0)) {
    return InvalidArgument(
        "learned levels, codebooks and budgets are fitted to data: add --calibrate FILE");
  }
  if (options.levels != LevelsFrom::kGrid && options.input_bits > kLearnedBitsMax) {
    return InvalidArgument("--levels of {} bits: levels fitted to data have at most {}",
                           options.input_bits, kLearnedBitsMax);
  }
  if (options.codes != 0 && (options.codes < 2 || options.codes > kMaxCodes)) {
    return InvalidArgument("--codes {}: a codebook has 2 to {} codewords", options.codes,
                           kMaxCodes);
  }
  if (options.codes != 0 && options.mirror) {
    return InvalidArgument("--mirror: codewords have no opposites; leave it out");
  }
  if (options.codes != 0 && options.budget_bytes != 0) {
    return InvalidArgument("--budget chooses bits of inputs; codebooks have none");
  }
  if (options.integer_only && (options.rotate || options.codes != 0)) {
    return InvalidArgument(
        "--integer-only: rotations and codebooks need floats between layers; leave them out");
  }
  if (options.integer_only && options.budget_bytes != 0 && source.graph.is_language_model()) {
    return InvalidArgument("--integer-only is for feed-forward networks");
  }
  return absl::OkStatus();
}

// Tables that read one value: coded alike, so that the value is coded once.
struct Group {
  std::vector<uint32_t> tables;
  uint32_t inputs = 0;
  std::vector<float> rows;  // as the coding sees them: rotated
  double sensitivity = 1;
};

class Calibrator {
 public:
  Calibrator(const ModelSource& source, const BuildOptions& options, std::vector<TableSpec>* specs,
             std::vector<std::vector<float>>* input_scales)
      : source_(source), options_(options), specs_(*specs), scales_(*input_scales) {}

  absl::Status Run(std::vector<PlanChoice>* choices) {
    for (size_t i = 0; options_.rotate && i < specs_.size(); ++i) {
      if (scales_[i].empty() && specs_[i].chunks.empty() && !(specs_[i].fixed_scale > 0)) {
        specs_[i].rotation = kRotationBlock;
      }
    }
    if (options_.calibration == nullptr) return absl::OkStatus();
    LUTDB_RETURN_IF_ERROR(MakeGroups());
    const bool sums = choices != nullptr && options_.codes == 0;
    const bool budget = options_.budget_bytes != 0;
    fits_ = groups_.size() * (sums || budget ? 2 : 1);
    if (budget) LUTDB_RETURN_IF_ERROR(CheckBudget());  // before the long work
    if (sums || budget) LUTDB_RETURN_IF_ERROR(MakeChoices());
    if (sums) SumChoices(choices);
    if (budget) SpendBudget();
    for (const Group& group : groups_) {
      for (const uint32_t table : group.tables) LUTDB_RETURN_IF_ERROR(Fit(group, table));
      LUTDB_RETURN_IF_ERROR(FinishFit());
    }
    return absl::OkStatus();
  }

 private:
  // After each fit, or all the fits that choices of a group take.
  absl::Status FinishFit() {
    ++fits_done_;
    if (options_.progress) {
      options_.progress({.stage = "fit", .done = fits_done_, .total = fits_});
    }
    return IsCancelled(options_.cancel) ? CancelledStatus() : absl::OkStatus();
  }

  absl::Status MakeGroups() {
    std::map<std::string, uint32_t> ids;
    for (const TableSpec& spec : specs_) ids[spec.name] = spec.id;
    for (const TableSample& sample : *options_.calibration) {
      Group group{.tables = {},
                  .inputs = sample.inputs,
                  .rows = sample.rows,
                  .sensitivity = sample.sensitivity};
      for (const std::string& name : sample.tables) {
        const auto found = ids.find(name);
        if (found == ids.end()) continue;  // of another model, or not a table of this one
        const TableSpec& spec = specs_[found->second];
        if (spec.inputs != sample.inputs || sample.rows.empty() ||
            sample.rows.size() % sample.inputs != 0) {
          return InvalidArgument("table {}: calibration data of {} numbers for {} inputs", name,
                                 sample.rows.size(), spec.inputs);
        }
        group.tables.push_back(found->second);
        ids.erase(found);
      }
      if (!std::all_of(group.rows.begin(), group.rows.end(),
                       [](float x) { return std::isfinite(x); })) {
        return InvalidArgument("calibration data of table {} is not finite",
                               sample.tables.empty() ? "" : sample.tables.front());
      }
      if (group.tables.empty()) continue;
      if (const uint32_t rotation = specs_[group.tables.front()].rotation; rotation != 0) {
        for (size_t at = 0; at < group.rows.size(); at += group.inputs) {
          kernels::Rotate(group.rows.data() + at, group.inputs, rotation);
        }
      }
      groups_.push_back(std::move(group));
    }
    if (ids.empty()) return absl::OkStatus();
    return InvalidArgument("no calibration data for table {}", ids.begin()->first);
  }

  // Whether a scale is chosen for each vector, so that its inputs share their levels.
  bool ScaledByVector(const TableSpec& spec) const {
    return source_.graph.is_language_model() || spec.rotation != 0;
  }

  absl::Status Fit(const Group& group, uint32_t table) {
    TableSpec& spec = specs_[table];
    if (spec.fixed_scale > 0) return absl::OkStatus();  // the graph file has decided it all
    const SourceTable& given = source_.tables[table];
    if (options_.codes != 0) {
      if (given.coding_given) return absl::OkStatus();
      auto book = FitCodebook(group.rows, group.inputs, spec.chunk, options_.codes);
      if (!book.ok()) return Named(spec, book.status());
      spec.codebook = *std::move(book);
      spec.levels = {Grid::kSigned, kLearnedBitsMax};
      return absl::OkStatus();
    }
    if (options_.levels == LevelsFrom::kGrid) {
      const bool negative =
          std::any_of(group.rows.begin(), group.rows.end(), [](float x) { return x < 0; });
      if (!negative && !given.coding_given) spec.levels.grid = Grid::kUnsigned;
      return absl::OkStatus();
    }
    if (!ScaledByVector(spec)) return FitInputs(group, &spec, &scales_[table]);
    if (!spec.chunks.empty()) return absl::OkStatus();
    auto set = FitVectors(group.rows, group.inputs, spec.levels.bits, options_.levels);
    if (!set.ok()) return Named(spec, set.status());
    spec.level_sets = {*std::move(set)};
    spec.levels = {Grid::kLearned, spec.levels.bits, 0};
    return absl::OkStatus();
  }

  // A set for every input and number of bits, under a scale of the input's own.
  absl::Status FitInputs(const Group& group, TableSpec* spec, std::vector<float>* scales) {
    if (spec->chunks.empty()) {
      for (uint32_t input = 0; input < spec->inputs; ++input) {
        if (input % spec->chunk == 0) spec->chunks.emplace_back();
        spec->chunks.back().inputs.push_back(input);
        spec->chunks.back().levels.push_back(spec->levels);
      }
      spec->levels = {Grid::kSigned, spec->levels.bits};
    }
    std::vector<std::map<int, uint32_t>> wanted(spec->inputs);  // bits -> set
    for (const ChunkSpec& chunk : spec->chunks) {
      for (size_t i = 0; i < chunk.inputs.size(); ++i) {
        if (chunk.levels[i].bits > kLearnedBitsMax) {
          return InvalidArgument("table {}: input {} has {} bits; levels fitted to data have {}",
                                 spec->name, chunk.inputs[i], chunk.levels[i].bits,
                                 kLearnedBitsMax);
        }
        wanted[chunk.inputs[i]][chunk.levels[i].bits] = 0;
      }
    }
    scales->clear();
    for (uint32_t input = 0; input < spec->inputs; ++input) {
      std::vector<float> values;
      for (size_t at = input; at < group.rows.size(); at += group.inputs) {
        values.push_back(group.rows[at]);
      }
      std::sort(values.begin(), values.end());
      float scale = 0;
      for (const auto& [bits, set] : wanted[input]) {
        scale = std::max(scale, FitInput(values, bits, options_.levels, 0).scale);
      }
      for (auto& [bits, set] : wanted[input]) {
        set = static_cast<uint32_t>(spec->level_sets.size());
        spec->level_sets.push_back(FitInput(values, bits, options_.levels, scale).set);
      }
      scales->push_back(scale);
    }
    for (ChunkSpec& chunk : spec->chunks) {
      for (size_t i = 0; i < chunk.inputs.size(); ++i) {
        GridLevels& levels = chunk.levels[i];
        levels = {Grid::kLearned, levels.bits, wanted[chunk.inputs[i]][levels.bits]};
      }
    }
    spec->fixed_scale = 1;
    return absl::OkStatus();
  }

  static absl::Status Named(const TableSpec& spec, const absl::Status& status) {
    return Error(status.code(), "table {}: {}", spec.name, Message(status));
  }

  // What a group costs and loses with so many bits.
  struct Choice {
    int bits = 0;
    uint64_t bytes = 0;
    double error = 0;
  };

  // Error and bytes of a group with so many bits; nothing where codes of a chunk exceed 16 bits.
  absl::StatusOr<std::optional<Choice>> ChoiceOf(const Group& group, int bits) {
    Choice choice{.bits = bits};
    bool possible = true;
    for (const uint32_t table : group.tables) {
      const TableSpec spec_before = specs_[table];
      const std::vector<float> scales_before = scales_[table];
      if (!source_.tables[table].coding_given) {
        specs_[table].levels.bits = static_cast<uint8_t>(bits);
      }
      const absl::Status fitted = Fit(group, table);
      auto geometry = TableGeometry::Create(specs_[table]);
      if (fitted.ok() && geometry.ok()) {
        // Rows are rotated already, the coder of the error rotates itself.
        const PlannedTable planned{specs_[table], *geometry, scales_[table]};
        choice.bytes += geometry->raw_bytes();
        choice.error += ErrorOf(group, planned);
      }
      possible = possible && geometry.ok();
      specs_[table] = spec_before;
      scales_[table] = scales_before;
      LUTDB_RETURN_IF_ERROR(fitted);
    }
    return possible ? std::optional<Choice>(choice) : std::nullopt;
  }

  // With every number of bits the group can have; at least one.
  absl::StatusOr<std::vector<Choice>> ChoicesOf(const Group& group) {
    std::vector<Choice> choices;
    for (int bits = kBudgetBitsMin; bits <= kLearnedBitsMax; ++bits) {
      LUTDB_ASSIGN_OR_RETURN(const std::optional<Choice> choice, ChoiceOf(group, bits));
      if (!choice) break;
      choices.push_back(*choice);
    }
    if (choices.empty()) {
      return InvalidArgument("--chunk {}: too many inputs for a budget to choose bits",
                             options_.chunk);
    }
    LUTDB_RETURN_IF_ERROR(FinishFit());
    return choices;
  }

  double ErrorOf(const Group& group, const PlannedTable& table) const {
    if (table.spec.weight_tensor == kNone) return 0;  // a table that starts as zeros
    return CodingError(source_.tensors[table.spec.weight_tensor], table, group.rows,
                       /*rotated=*/true);
  }

  absl::Status MakeChoices() {
    for (const Group& group : groups_) {
      LUTDB_ASSIGN_OR_RETURN(auto of_group, ChoicesOf(group));
      choices_.push_back(std::move(of_group));
    }
    return absl::OkStatus();
  }

  // The same number of bits everywhere.
  void SumChoices(std::vector<PlanChoice>* sums) const {
    size_t tables = 0;
    for (size_t g = 0; g < groups_.size(); ++g) {
      const std::vector<Choice>& choices = choices_[g];
      if (sums->empty()) sums->resize(choices.size());
      sums->resize(std::min(sums->size(), choices.size()));
      for (size_t i = 0; i < sums->size(); ++i) {
        PlanChoice& sum = (*sums)[i];
        sum.input_bits = choices[i].bits;
        sum.raw_bytes += choices[i].bytes;
        sum.error += choices[i].error;
      }
      tables += groups_[g].tables.size();
    }
    for (PlanChoice& sum : *sums) sum.error /= static_cast<double>(std::max<size_t>(1, tables));
  }

  // What the answer loses when the tables of a group lose so much of their outputs: their error is
  // that of the value they share, seen by each.
  static double Loss(const Group& group, const Choice& choice) {
    return group.sensitivity * choice.error / static_cast<double>(group.tables.size());
  }

  // The fewest bits must be affordable.
  absl::Status CheckBudget() {
    uint64_t least = 0;
    for (const Group& group : groups_) {
      LUTDB_ASSIGN_OR_RETURN(const std::optional<Choice> choice, ChoiceOf(group, kBudgetBitsMin));
      if (choice) least += choice->bytes;
    }
    if (least <= options_.budget_bytes) return absl::OkStatus();
    return InvalidArgument("--budget of {} bytes: with {} bits everywhere entries take {} already",
                           options_.budget_bytes, kBudgetBitsMin, least);
  }

  // From the fewest bits up, always the step that takes most loss away for its bytes.
  void SpendBudget() {
    std::vector<size_t> chosen(groups_.size(), 0);
    uint64_t spent = 0;
    for (const std::vector<Choice>& choices : choices_) spent += choices.front().bytes;
    for (;;) {
      size_t best = groups_.size();
      double best_gain = 0;
      for (size_t g = 0; g < groups_.size(); ++g) {
        if (chosen[g] + 1 >= choices_[g].size()) continue;
        const Choice& now = choices_[g][chosen[g]];
        const Choice& next = choices_[g][chosen[g] + 1];
        const uint64_t more = next.bytes - std::min(next.bytes, now.bytes);
        if (spent + more > options_.budget_bytes) continue;
        const double gain = (Loss(groups_[g], now) - Loss(groups_[g], next)) /
                            static_cast<double>(std::max<uint64_t>(1, more));
        if (best == groups_.size() || gain > best_gain) {
          best = g;
          best_gain = gain;
        }
      }
      if (best == groups_.size()) break;
      spent += choices_[best][chosen[best] + 1].bytes - choices_[best][chosen[best]].bytes;
      ++chosen[best];
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (const uint32_t table : groups_[g].tables) {
        if (source_.tables[table].coding_given) continue;
        specs_[table].levels.bits = static_cast<uint8_t>(choices_[g][chosen[g]].bits);
      }
    }
  }

  const ModelSource& source_;
  const BuildOptions& options_;
  std::vector<TableSpec>& specs_;
  std::vector<std::vector<float>>& scales_;
  std::vector<Group> groups_;
  std::vector<std::vector<Choice>> choices_;  // per group, by rising bits
  size_t fits_ = 0, fits_done_ = 0;           // for progress
};

}  // namespace

absl::Status CalibrateTables(const ModelSource& source, const BuildOptions& options,
                             std::vector<TableSpec>* specs,
                             std::vector<std::vector<float>>* input_scales,
                             std::vector<PlanChoice>* choices) {
  LUTDB_RETURN_IF_ERROR(CheckOptions(source, options));
  return Calibrator(source, options, specs, input_scales).Run(choices);
}

}  // namespace lutdb
