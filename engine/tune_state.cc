#include "engine/tune_state.h"

#include <cstring>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/hash.h"

namespace lutdb {
namespace {

constexpr char kMagic[] = "lutdb-tune-1\n";  // without its final zero

template <typename T>
void AppendArray(const std::vector<T>& items, std::string* to) {
  AppendLittle<uint64_t>(items.size(), to);
  to->append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T));
}

void AppendEntries(const TuneEntries& entries, std::string* to) {
  AppendLittle<uint64_t>(entries.size(), to);
  for (const std::vector<float>& table : entries) AppendArray(table, to);
}

// Reads what Append wrote; every length is checked against what is left and what is expected.
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

  // Of `size` items, or none.
  template <typename T>
  std::vector<T> Array(size_t size) {
    const auto count = Number<uint64_t>();
    std::vector<T> items;
    if (!good_ || (count != size && count != 0) || bytes_.size() < count * sizeof(T)) {
      good_ = false;
      return items;
    }
    items.resize(count);
    std::memcpy(items.data(), bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
    return items;
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

  TuneEntries Entries(const TuneNetwork& network) {
    TuneEntries entries;
    const auto count = Number<uint64_t>();
    if (count != 0 && count != network.tables.size()) good_ = false;
    for (uint64_t t = 0; good_ && t < count; ++t) {
      entries.push_back(Array<float>(network.tables[t].entries.size()));
    }
    return entries;
  }

  bool done() const { return good_ && bytes_.empty(); }
  bool good() const { return good_; }

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

std::string SerializeState(const TuneState& state, uint64_t fingerprint) {
  std::string bytes(kMagic);
  AppendLittle(fingerprint, &bytes);
  AppendLittle(state.trial, &bytes);
  AppendLittle(state.epoch, &bytes);
  AppendLittle(state.steps, &bytes);
  AppendLittle(state.steps_all, &bytes);
  AppendLittle(state.best_loss, &bytes);
  AppendLittle(state.best_epoch, &bytes);
  AppendLittle(state.first_loss, &bytes);
  AppendLittle<uint8_t>(state.has_winner ? 1 : 0, &bytes);
  AppendLittle(state.winner, &bytes);
  AppendLittle(state.winner_loss, &bytes);
  AppendLittle(state.winner_epochs, &bytes);
  AppendLittle(state.winner_steps, &bytes);
  AppendLittle<uint64_t>(state.stopped.size(), &bytes);
  bytes += state.stopped;
  AppendEntries(state.entries, &bytes);
  AppendEntries(state.best, &bytes);
  AppendEntries(state.winner_entries, &bytes);
  for (const TuneMoments& moments : state.moments) {
    AppendArray(moments.first, &bytes);
    AppendArray(moments.second, &bytes);
    AppendArray(moments.count, &bytes);
  }
  AppendLittle(Hash64Of(bytes.data(), bytes.size()), &bytes);
  return bytes;
}

absl::StatusOr<TuneState> ParseState(std::string_view bytes, uint64_t fingerprint,
                                     const TuneNetwork& network) {
  constexpr size_t kMagicBytes = sizeof(kMagic) - 1;
  if (bytes.size() < kMagicBytes + 16 || bytes.substr(0, kMagicBytes) != kMagic) {
    return DataLoss("not a checkpoint of tune");
  }
  const size_t body = bytes.size() - sizeof(uint64_t);
  if (Hash64Of(bytes.data(), body) != LoadLittle<uint64_t>(bytes.data() + body)) {
    return DataLoss("the checkpoint is damaged");
  }
  Parser parser(bytes.substr(kMagicBytes, body - kMagicBytes));
  if (parser.Number<uint64_t>() != fingerprint) return NotFound("a checkpoint of another run");
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
  state.entries = parser.Entries(network);
  state.best = parser.Entries(network);
  state.winner_entries = parser.Entries(network);
  for (const TuneTable& table : network.tables) {
    TuneMoments moments;
    moments.first = parser.Array<float>(table.entries.size());
    moments.second = parser.Array<float>(table.entries.size());
    moments.count = parser.Array<uint32_t>(table.rows());
    state.moments.push_back(std::move(moments));
  }
  if (!parser.done()) return DataLoss("the checkpoint does not fit this store");
  return state;
}

}  // namespace lutdb
