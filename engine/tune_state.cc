#include "engine/tune_state.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"

namespace lutdb {
namespace {

template <typename T>
void WriteArray(const std::vector<T>& items, CheckpointWriter& to) {
  to.Number<uint64_t>(items.size());
  to.Bytes(items.data(), items.size() * sizeof(T));
}

void WriteEntries(const TuneEntries& entries, CheckpointWriter& to) {
  to.Number<uint64_t>(entries.size());
  for (const std::vector<float>& table : entries) WriteArray(table, to);
}

// Reads what was written; every length is checked against what is left and what is expected.
class Parser {
 public:
  explicit Parser(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T Number() {
    T value{};
    if (bytes_.size() < sizeof(T)) {
      good_ = false;
      return value;
    }
    value = LoadLittle<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return value;
  }

  // Of `size` items, or it is no good.
  template <typename T>
  void Array(size_t size, std::vector<T>* items) {
    const auto count = Number<uint64_t>();
    if (!good_ || count != size || bytes_.size() / sizeof(T) < count) {
      good_ = false;
      return;
    }
    items->resize(count);
    if (count > 0) std::memcpy(items->data(), bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
  }

  std::string Text() {
    const auto count = Number<uint64_t>();
    if (!good_ || bytes_.size() < count) {
      good_ = false;
      return "";
    }
    std::string text(bytes_.substr(0, count));
    bytes_.remove_prefix(count);
    return text;
  }

  // Of every table, or none at all.
  TuneEntries Entries(const TuneNetwork& network) {
    TuneEntries entries;
    const auto count = Number<uint64_t>();
    if (count != 0 && count != network.tables.size()) good_ = false;
    for (uint64_t t = 0; good_ && t < count; ++t) {
      Array(TrainedSize(network.tables[t]), &entries.emplace_back());
    }
    return entries;
  }

  bool done() const { return good_ && bytes_.empty(); }

  static size_t TrainedSize(const TuneTable& table) {
    return table.trained ? table.entries.size() : 0;
  }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

}  // namespace

TuneEntries CopyEntries(const TuneNetwork& network) {
  TuneEntries entries;
  for (const TuneTable& table : network.tables) {
    entries.push_back(table.trained ? table.entries : std::vector<float>());
  }
  return entries;
}

void PutEntries(const TuneEntries& entries, TuneNetwork* network) {
  for (size_t t = 0; t < entries.size(); ++t) {
    if (!entries[t].empty()) network->tables[t].entries = entries[t];
  }
}

void PutEntries(TuneEntries&& entries, TuneNetwork* network) {
  for (size_t t = 0; t < entries.size(); ++t) {
    if (!entries[t].empty()) network->tables[t].entries = std::move(entries[t]);
  }
}

void WriteState(const TuneState& state, const TuneNetwork& network,
                const std::vector<TuneMoments>& moments, CheckpointWriter& writer) {
  writer.Number(state.trial);
  writer.Number(state.epoch);
  writer.Number(state.steps);
  writer.Number(state.steps_all);
  writer.Number(state.best_loss);
  writer.Number(state.best_epoch);
  writer.Number(state.first_loss);
  writer.Number<uint8_t>(state.has_winner ? 1 : 0);
  writer.Number(state.winner);
  writer.Number(state.winner_loss);
  writer.Number(state.winner_epochs);
  writer.Number(state.winner_steps);
  writer.Number<uint64_t>(state.stopped.size());
  writer.Bytes(state.stopped.data(), state.stopped.size());
  writer.Number<uint64_t>(network.tables.size());
  static const std::vector<float> kNoEntries;
  for (const TuneTable& table : network.tables) {
    WriteArray(table.trained ? table.entries : kNoEntries, writer);
  }
  WriteEntries(state.best, writer);
  WriteEntries(state.winner_entries, writer);
  for (const TuneMoments& of_table : moments) {
    WriteArray(of_table.first, writer);
    WriteArray(of_table.second, writer);
    WriteArray(of_table.count, writer);
  }
}

absl::StatusOr<TuneState> ReadState(std::string_view body, TuneNetwork* network,
                                    std::vector<TuneMoments>* moments) {
  Parser parser(body);
  TuneState state;
  state.trial = parser.Number<uint32_t>();
  state.epoch = parser.Number<uint32_t>();
  state.steps = parser.Number<uint64_t>();
  state.steps_all = parser.Number<uint64_t>();
  state.best_loss = parser.Number<double>();
  state.best_epoch = parser.Number<uint32_t>();
  state.first_loss = parser.Number<double>();
  state.has_winner = parser.Number<uint8_t>() != 0;
  state.winner = parser.Number<uint32_t>();
  state.winner_loss = parser.Number<double>();
  state.winner_epochs = parser.Number<uint32_t>();
  state.winner_steps = parser.Number<uint64_t>();
  state.stopped = parser.Text();
  TuneEntries entries = parser.Entries(*network);
  state.best = parser.Entries(*network);
  state.winner_entries = parser.Entries(*network);
  for (size_t t = 0; t < moments->size(); ++t) {
    const TuneTable& table = network->tables[t];
    parser.Array(Parser::TrainedSize(table), &(*moments)[t].first);
    parser.Array(Parser::TrainedSize(table), &(*moments)[t].second);
    parser.Array(table.trained ? table.rows() : 0, &(*moments)[t].count);
  }
  if (!parser.done() || entries.empty() || state.has_winner == state.winner_entries.empty()) {
    return DataLoss("the checkpoint does not fit this store");
  }
  PutEntries(std::move(entries), network);
  return state;
}

}  // namespace lutdb
