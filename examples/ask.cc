// Opens a store, looks a few entries up, and lets its model continue a prompt.
//
//   ask sums.lut '347+285='

#include <cstdio>
#include <vector>

#include "lutdb/model.h"
#include "lutdb/store.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "ask: %s\n", status.ToString().c_str());
  return 1;
}

// What the first input adds to the first neuron of the first table, for each value it can take.
absl::Status ShowConnection(const lutdb::Store& store) {
  const lutdb::TableInfo& table = store.info().tables.at(0);
  auto lookup = store.Get(table.name + "[0, 0, :]");
  if (!lookup.ok()) return lookup.status();
  std::printf("%s: %zu codes, step %g\n", table.name.c_str(), lookup->codes.size(),
              static_cast<double>(lookup->step[0]));
  for (size_t k = 0; k < lookup->codes.size(); k += 32) {
    std::printf("  code %3u: entry %6d, value %+.6f\n", lookup->codes[k], lookup->at(0, 0, k),
                lookup->value(0, 0, k));
  }
  // The same by key, in a batch: the way of programs that need entries from many places.
  const std::vector<lutdb::EntryKey> keys = {{.table = 0, .neuron = 0, .chunk = 0, .code = 1},
                                             {.table = 0, .neuron = 1, .chunk = 0, .code = 1}};
  std::vector<int16_t> entries(keys.size());
  const absl::Status status = store.GetEntries(keys, absl::MakeSpan(entries));
  if (!status.ok()) return status;
  std::printf("  code 1 of neurons 0 and 1: %d, %d\n", entries[0], entries[1]);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: ask STORE PROMPT\n");
    return 2;
  }
  auto store = lutdb::Store::Open(argv[1], {});
  if (!store.ok()) return Fail(store.status());
  if (absl::Status shown = ShowConnection(**store); !shown.ok()) return Fail(shown);

  auto model = lutdb::Model::Open(argv[1], {});
  if (!model.ok()) return Fail(model.status());
  auto answer = (*model)->Generate(argv[2], {.max_tokens = 32, .temperature = 0}, nullptr);
  if (!answer.ok()) return Fail(answer.status());
  std::printf("%s\n", answer->text.c_str());
  return 0;
}
