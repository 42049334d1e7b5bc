#include "engine/tune_commit.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/status.h"

namespace lutdb {
namespace {

int32_t InitialOf(const TuneTable& table, size_t row, uint32_t neuron) {
  return static_cast<int32_t>(
      std::nearbyint(double{table.initial[row * table.neurons + neuron]} / table.unit[neuron]));
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

void AppendEdits(const TuneTable& table, uint32_t id, uint32_t neuron_begin,
                 std::vector<EntryEdit>* edits) {
  for (uint32_t chunk = 0; chunk < table.chunks(); ++chunk) {
    for (uint32_t row = table.chunk_row[chunk]; row < table.chunk_row[chunk + 1]; ++row) {
      for (uint32_t n = 0; n < table.neurons; ++n) {
        const int32_t value = table.Rounded(row, n);
        if (value == InitialOf(table, row, n)) continue;
        edits->push_back({.table = id,
                          .neuron = neuron_begin + n,
                          .chunk = chunk,
                          .code = row - table.chunk_row[chunk],
                          .value = value});
      }
    }
  }
}

void KeepLargestChanges(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows,
                        uint64_t count) {
  const auto lookups = CountLookups(trainer, *network, rows);
  struct Change {
    double weight;
    uint32_t table;
    size_t at;
  };
  std::vector<Change> changes;
  for (uint32_t t = 0; t < network->tables.size(); ++t) {
    const TuneTable& table = network->tables[t];
    if (!table.trained) continue;
    for (size_t at = 0; at < table.entries.size(); ++at) {
      const size_t row = at / table.neurons;
      const auto neuron = static_cast<uint32_t>(at % table.neurons);
      if (table.Rounded(row, neuron) == InitialOf(table, row, neuron)) continue;
      const double change = (table.entries[at] - table.initial[at]) / table.gain;
      changes.push_back({change * change * lookups[t][row], t, at});
    }
  }
  if (changes.size() <= count) return;
  // Ties by place, so that the choice does not depend on the sorting.
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    if (a.weight != b.weight) return a.weight > b.weight;
    return a.table != b.table ? a.table < b.table : a.at < b.at;
  });
  for (size_t i = count; i < changes.size(); ++i) {
    TuneTable& table = network->tables[changes[i].table];
    table.entries[changes[i].at] = table.initial[changes[i].at];
  }
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

}  // namespace lutdb
