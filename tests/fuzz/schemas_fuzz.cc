// The FlatBuffers of a store: manifest, graph and tokenizer.

#include "schemas/graph.h"
#include "schemas/manifest.h"
#include "schemas/tokenizer_spec.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), count);
  lutdb::ParseTokenizer(text).status().IgnoreError();
  lutdb::ParseManifest(text).status().IgnoreError();
  lutdb::ParseGraph(text, {}, {}).status().IgnoreError();
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  lutdb::Manifest manifest;
  manifest.source_name = "model";
  lutdb::TableSpec table;
  table.name = "t";
  table.inputs = 4;
  table.neurons = 3;
  manifest.tables.push_back(table);
  lutdb::Graph graph;
  graph.architecture = "feed-forward";
  return {lutdb::SerializeTokenizer({}), lutdb::SerializeManifest(manifest),
          lutdb::SerializeGraph(graph)};
}
