// Lines of patches come from scripts and from other people.

#include <cmath>

#include "base/check.h"
#include "base/npy.h"
#include "cli/patch_reader.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  static const lutdb::StoreInfo info = [] {
    lutdb::StoreInfo made;
    made.tables.resize(2);
    made.tables[0].name = "hidden";
    made.tables[1].name = "output";
    for (lutdb::TableInfo& table : made.tables) {
      table.neurons = 64;
      table.chunks = 784;
      table.codes = 255;
    }
    return made;
  }();
  const lutdb::cli::PatchTables tables(info);
  const std::string_view line(reinterpret_cast<const char*>(bytes), count);
  for (const bool first : {true, false}) {
    const lutdb::cli::PatchSinks sinks = {.store =
                                              [&](const std::string&) {
                                                LUTDB_CHECK(first);
                                                return absl::OkStatus();
                                              },
                                          .entry =
                                              [&](const lutdb::cli::PatchEntry& entry) {
                                                LUTDB_CHECK(tables.Check(entry.key).ok());
                                                LUTDB_CHECK(std::isfinite(entry.operand));
                                                return absl::OkStatus();
                                              }};
    const absl::Status status = lutdb::cli::ReadPatchLine(line, tables, first, sinks);
    LUTDB_CHECK(status.ok() || !status.message().empty());
  }
  const auto texts = lutdb::ParseNpyTexts(line, "x.npy");
  std::string text;
  for (uint64_t i = 0; texts.ok() && i < texts->count; ++i) (void)texts->Get(i, &text);
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  const std::string dictionary = "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }     \n";
  std::string texts("\x93NUMPY\x01\x00", 8);
  texts += static_cast<char>(dictionary.size());
  texts += '\0';
  texts += dictionary + std::string("a\0\0\0b\0\0\0\0\0\0\0c\0\0\0\0\0\0\0\0\0\0\0", 24);
  return {R"({"store": "0123456789abcdef0123456789abcdef"})",
          R"({"address": "hidden[3, 17, 200]", "raw": 51})",
          R"({"table": "output", "neuron": 3, "chunk": 17, "code": 200, "scale": 0.5})",
          R"({"table": 1, "neuron": 9, "chunk": 0, "code": 0, "add_raw": -17})",
          R"({"address": "output[-1, -1, -1]", "value": 1.5e-3})",
          texts};
}
