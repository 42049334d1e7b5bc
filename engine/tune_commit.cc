#include "engine/tune_commit.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "engine/tune_rounding.h"

namespace lutdb {
namespace {

bool Changed(const TuneTable& table, size_t row, uint32_t neuron) {
  return table.Rounded(row, neuron) != EntryBefore(table, row, neuron);
}

// Calls visit(weight, entry, initial) for every changed entry of the trained tables, in order.
template <typename Visit>
void ForEachChange(TuneNetwork* network, const std::vector<std::vector<uint32_t>>& lookups,
                   const Visit& visit) {
  for (size_t t = 0; t < network->tables.size(); ++t) {
    TuneTable& table = network->tables[t];
    if (!table.trained) continue;
    for (size_t at = 0; at < table.entries.size(); ++at) {
      const size_t row = at / table.neurons;
      if (!Changed(table, row, static_cast<uint32_t>(at % table.neurons))) continue;
      const double change = (table.entries[at] - table.initial[at]) / table.gain;
      visit(change * change * lookups[t][row], table.entries[at], table.initial[at]);
    }
  }
}

// How often each row of each table is looked up.
std::vector<std::vector<uint32_t>> CountLookups(TuneTrainer& trainer, const TuneNetwork& network,
                                                absl::Span<const uint32_t> rows) {
  std::vector<std::vector<uint32_t>> counts;
  for (const TuneTable& table : network.tables) counts.emplace_back(table.rows(), 0);
  trainer.ForEachRow(rows, [&](const TunePass& pass) {
    for (uint32_t i = 0; i < network.ops.size(); ++i) {
      if (network.ops[i].kind != OpKind::kTable) continue;
      const TuneTable& table = network.tables[network.ops[i].table];
      for (uint32_t c = 0; c < table.chunks(); ++c) {
        ++counts[network.ops[i].table][table.chunk_row[c] + pass.codes(i)[c]];
      }
    }
  });
  return counts;
}

std::string Notes(const TuneReport& report) {
  std::string notes = fmt::format(
      R"({{"tune": {{"objective": "{}", "valid_loss_before": {:.9g}, "valid_loss_after": {:.9g}, )",
      report.objective, report.valid_before.loss, report.valid_after.loss);
  if (report.classes) {
    fmt::format_to(std::back_inserter(notes),
                   R"("valid_accuracy_before": {:.6g}, "valid_accuracy_after": {:.6g}, )",
                   report.valid_before.accuracy, report.valid_after.accuracy);
  }
  fmt::format_to(std::back_inserter(notes),
                 R"("learning_rate": {:.6g}, "smooth": {:.6g}, "curve": {:.6g}, "near": {:.6g}, )",
                 report.learning_rate, report.regularity.smooth, report.regularity.curve,
                 report.regularity.near);
  fmt::format_to(std::back_inserter(notes), R"("steps": {}, "seed": {}}}}})", report.steps,
                 report.seed);
  return notes;
}

absl::StatusOr<std::string> BranchHead(const History& history, const std::string& branch) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<History::Ref> branches, history.Branches());
  for (const History::Ref& ref : branches) {
    if (ref.name == branch) return ref.commit;
  }
  return NotFound("no branch '{}': 'lutdb branch' makes one", branch);
}

absl::StatusOr<std::string> CommitTuned(const std::string& store, const TuneOptions& options,
                                        const std::string& head, absl::Span<const EntryEdit> edits,
                                        const TuneReport& report) {
  LUTDB_ASSIGN_OR_RETURN(
      const auto history,
      History::Open(store, {.write = true, .wait_seconds = options.wait_seconds}));
  CommitOptions commit;
  commit.author = options.author;
  commit.message = options.message;
  if (commit.message.empty()) {
    commit.message = fmt::format("tune {} entries: validation loss {:.6g} from {:.6g}",
                                 edits.size(), report.valid_after.loss, report.valid_before.loss);
  }
  commit.notes = Notes(report);
  commit.parent = &head;
  const auto info = history->Commit(options.branch, edits, commit);
  if (absl::IsAborted(info.status())) {
    return absl::Status(
        absl::StatusCode::kAborted,
        fmt::format("others committed to '{}' while it was tuned: nothing is committed; tune again "
                    "from where it is now, or on a branch of your own (lutdb branch)",
                    options.branch)
            .c_str());
  }
  LUTDB_RETURN_IF_ERROR(info.status());
  return info->id;
}

}  // namespace

absl::StatusOr<TunedStore> OpenTuned(const std::string& path, const std::string& branch) {
  constexpr uint64_t kCacheBytes = 64 << 20;
  TunedStore from;
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(path, {}));
  LUTDB_ASSIGN_OR_RETURN(from.head, BranchHead(*history, branch));
  LUTDB_ASSIGN_OR_RETURN(from.store, StoreReader::Open(path, kCacheBytes));
  OpenStoreOptions open;
  // The build has no id; a commit made while its entries are read is found out at the end.
  open.at = from.head.empty() ? branch : from.head;
  open.arena_bytes = 0;
  LUTDB_ASSIGN_OR_RETURN(from.entries, Store::Open(path, open));
  return from;
}

uint64_t CountEdits(const TuneTable& table) {
  uint64_t count = 0;
  for (size_t row = 0; row < table.rows(); ++row) {
    for (uint32_t n = 0; n < table.neurons; ++n) count += Changed(table, row, n) ? 1 : 0;
  }
  return count;
}

void AppendEdits(const TuneTable& table, uint32_t id, uint32_t neuron_begin,
                 std::vector<EntryEdit>* edits) {
  for (uint32_t chunk = 0; chunk < table.chunks(); ++chunk) {
    for (uint32_t row = table.chunk_row[chunk]; row < table.chunk_row[chunk + 1]; ++row) {
      for (uint32_t n = 0; n < table.neurons; ++n) {
        if (!Changed(table, row, n)) continue;
        edits->push_back({.table = id,
                          .neuron = neuron_begin + n,
                          .chunk = chunk,
                          .code = row - table.chunk_row[chunk],
                          .value = table.Rounded(row, n)});
      }
    }
  }
}

void KeepLargestChanges(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows,
                        uint64_t count) {
  const auto lookups = CountLookups(trainer, *network, rows);
  uint64_t changed = 0;
  for (const TuneTable& table : network->tables) changed += table.trained ? CountEdits(table) : 0;
  if (changed <= count) return;
  std::vector<double> weights;
  weights.reserve(changed);
  ForEachChange(network, lookups, [&](double weight, float&, float) { weights.push_back(weight); });
  double least = std::numeric_limits<double>::infinity();  // that is kept
  if (count > 0) {
    const auto last = weights.begin() + static_cast<ptrdiff_t>(count - 1);
    std::nth_element(weights.begin(), last, weights.end(), std::greater<>());
    least = *last;
  }
  // Ties by place, so that the choice does not depend on the sorting.
  uint64_t ties =
      count - static_cast<uint64_t>(std::count_if(weights.begin(), weights.end(),
                                                  [&](double weight) { return weight > least; }));
  ForEachChange(network, lookups, [&](double weight, float& entry, float initial) {
    if (weight > least) return;
    if (weight == least && ties > 0) {
      --ties;
      return;
    }
    entry = initial;
  });
}

absl::Status FinishTuned(const std::string& store, const TuneOptions& options,
                         const std::string& head, absl::Span<const EntryEdit> edits,
                         const std::vector<std::string>& checkpoints, TuneReport* report) {
  absl::Status status;
  if (report->improved && options.commit && !edits.empty()) {
    auto commit = CommitTuned(store, options, head, edits, *report);
    status = commit.status();
    if (status.ok()) report->commit = *std::move(commit);
  }
  if (!status.ok() && !absl::IsAborted(status)) return status;
  for (const std::string& checkpoint : checkpoints) {
    const absl::Status removed = RemovePath(checkpoint);
    if (status.ok()) status = removed;
  }
  return status;
}

}  // namespace lutdb
