// Files of models come from anywhere. One file of a small, good model is whatever the bytes are,
// the others stay as they are: the reader refuses it in one line, or all its tensors can be read.
//
// LUTDB_FUZZ_FILE says which: config.json, model.safetensors.index.json, model.safetensors, a
// llama2.c checkpoint (model.bin) or a graph file (graph.json).

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/file.h"
#include "ingest/model_source.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

const std::string kFile = LUTDB_FUZZ_FILE;

std::string FeedForwardGraph() {
  return R"({"format":"lutdb-graph-1","input":{"width":6,"range":[0,1]},"ops":[
    {"op":"linear","weight":"l0.weight","bias":"l0.bias","table":{"chunk":2,"bits":3}},
    {"op":"relu"},{"op":"linear","weight":"l1.weight"},{"op":"softmax"}]})";
}

std::vector<TestTensor> FeedForwardTensors() {
  return {MakeTensor("l0.weight", {5, 6}), MakeTensor("l0.bias", {5}),
          MakeTensor("l1.weight", {3, 5})};
}

std::string Index() {
  std::string map;
  for (const TestTensor& tensor : TinyLlama().Tensors()) {
    map += fmt::format(R"({}"{}":"part.safetensors")", map.empty() ? "" : ",", tensor.name);
  }
  return R"({"metadata":{},"weight_map":{)" + map + "}}";
}

// dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, and the weights of version
// 0.
std::string Checkpoint() {
  std::string file;
  for (const int32_t number : {4, 6, 1, 2, 1, 5, 8}) AppendLittle(number, &file);
  const size_t floats = 5 * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24 + 4 + 8 + 8;
  for (size_t i = 0; i < floats; ++i) AppendLittle(static_cast<float>(i % 7) * 0.25f, &file);
  return file;
}

std::string GoodBytes(const std::string& name) {
  if (name == "config.json") return TinyLlama().Config();
  if (name == "model.safetensors.index.json") return Index();
  if (name == "model.bin") return Checkpoint();
  if (name == "graph.json") return FeedForwardGraph();
  return SafetensorsBytes(kFile == "graph.json" ? FeedForwardTensors() : TinyLlama().Tensors());
}

void Put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A directory of this process with the files that stay as they are.
const std::string& Directory() {
  static const std::string directory = [] {
    // In memory where that is: a file is written for every try.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string made =
        (memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
        "lutdb_fuzz_XXXXXX";
    LUTDB_CHECK(::mkdtemp(made.data()) != nullptr);
    static const std::string kept = made;
    std::atexit([] { std::filesystem::remove_all(kept); });
    // A whole model.safetensors would be taken before an index.
    const bool sharded = kFile == "model.safetensors.index.json";
    for (const char* name : {"config.json", sharded ? "part.safetensors" : "model.safetensors"}) {
      if (name != kFile) Put(JoinPath(made, name), GoodBytes(name));
    }
    return made;
  }();
  return directory;
}

void Use(const ModelSource& source) {
  std::vector<float> row;
  for (const SourceTensor& tensor : source.tensors) {
    LUTDB_CHECK(tensor.rows > 0 && tensor.cols > 0);
    if (tensor.cols > 1 << 20) continue;
    row.resize(tensor.cols);
    for (const uint64_t at : {uint64_t{0}, tensor.rows - 1}) {
      tensor.ReadRow(at, 0, tensor.cols, row.data());
    }
  }
}

}  // namespace
}  // namespace lutdb

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  using namespace lutdb;
  const std::string path = JoinPath(Directory(), kFile);
  Put(path, {reinterpret_cast<const char*>(bytes), count});
  ModelSourceOptions options;
  std::string model = Directory();
  if (kFile == "model.bin") model = path;
  if (kFile == "graph.json") {
    options.graph_file = path;
    model = JoinPath(Directory(), "model.safetensors");
  }
  const auto source = OpenModelSource(model, options);
  if (source.ok()) {
    Use(*source);
  } else {
    const std::string line = Message(source.status());
    LUTDB_CHECK(!line.empty() && line.find('\n') == std::string::npos);
  }
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() { return {GoodBytes(kFile)}; }
