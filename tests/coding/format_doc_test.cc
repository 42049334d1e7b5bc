// The worked example of docs/format.md is generated again and compared, byte for byte.
#include <cstring>
#include <fstream>
#include <map>

#include "coding/cell_hash.h"
#include "coding/patch_record.h"
#include "coding/record.h"
#include "gtest/gtest.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

// Lines "    name: hex digits   comment" between "example begins" and "example ends"; the same name
// again continues the bytes.
std::map<std::string, std::string> Example() {
  std::ifstream file(LUTDB_SOURCE_DIR "/docs/format.md");
  std::map<std::string, std::string> bytes;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.find("example begins") != std::string::npos) inside = true;
    if (line.find("example ends") != std::string::npos) inside = false;
    const size_t colon = line.find(": ");
    if (!inside || colon == std::string::npos || !line.starts_with("    ")) continue;
    std::string hex = line.substr(colon + 2);
    hex = hex.substr(0, hex.find("  "));
    std::erase(hex, ' ');
    bytes[line.substr(4, colon - 4)] += hex;
  }
  return bytes;
}

SampleTable ExampleTable() {
  TableSpec spec = Spec(1, 1, 1, Grid::kSigned, 3, EntryType::kI16, false);
  spec.name = "fc";
  SampleTable table(spec, 0);
  table.weights = {-0.5f};
  table.steps = {StepOf(table.geometry, table.weights)};
  return table;
}

TEST(FormatDoc, TheWorkedExampleIsWhatTheProgramWrites) {
  const SampleTable table = ExampleTable();
  auto example = Example();
  EXPECT_EQ(example["product record"], Hex(table.ProductRecord({})));

  std::string step(4, 0);
  std::memcpy(step.data(), table.steps.data(), 4);
  EXPECT_EQ(example["step"], Hex(step));

  std::string entries;
  for (uint32_t code = 0; code < 7; ++code) entries += table.Row(0, code, 0).substr(0, 2);
  EXPECT_EQ(example["entries of neuron 0"], Hex(entries));

  std::string row;
  const std::string entry = table.Row(0, 6, 0).substr(0, 2);
  EncodeRow(table.geometry, {.table = 0, .chunk = 0, .code = 6, .neuron_block = 0}, entry.data(),
            &row);
  EXPECT_EQ(example["row record"], Hex(row));

  CellHasher hasher(table.spec, table.geometry);
  hasher.Begin(0, 0, table.steps);
  const std::string payload = table.Payload({});
  hasher.Update(payload.data(), payload.size());
  EXPECT_EQ(example["content hash"], hasher.Finish().Hex());

  std::string patch;
  EncodePatch({{0, 28671, 28670}, {6 * kBlockNeurons, -28671, -28600}},
              PatchValues::kBeforeAndAfter, &patch);
  EXPECT_EQ(example["patch"], Hex(patch));
}

}  // namespace
}  // namespace lutdb
