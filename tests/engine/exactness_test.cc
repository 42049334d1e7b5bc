// The promise everything rests on: the same bits whatever the layout, codec, mirroring, arena,
// number of threads and instruction set.
#include <gtest/gtest.h>

#include <set>

#include "base/aligned_buffer.h"
#include "engine/source_weights.h"
#include "query/store_reader.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

constexpr uint32_t kVocabulary = 37;
constexpr uint32_t kTokens = 12;

struct Coding {
  int bits;
  Grid grid;
  uint32_t chunk;
  EntryType entry;
};

// Ways of keeping the same entries.
struct Keeping {
  Layout layout;
  Codec codec;
  bool mirror;
};

class Exactness : public testing::TestWithParam<Coding> {
 protected:
  // 20 and 36 inputs: no chunk of 3 or 8 divides both.
  static TinyLlama Llama() {
    TinyLlama llama;
    llama.hidden = 20;
    llama.intermediate = 36;
    llama.heads = 2;
    llama.vocabulary = kVocabulary;
    return llama;
  }
  BuildOptions Options(const Keeping& keeping) const {
    BuildOptions options;
    options.input_bits = GetParam().bits;
    options.grid = GetParam().grid;
    options.chunk = GetParam().chunk;
    options.entry = GetParam().entry;
    options.layout = keeping.layout;
    options.codec = keeping.codec;
    options.mirror = keeping.mirror;
    options.threads = 1;
    return options;
  }
  ScratchDirectory scratch_;
};

// Rows that went through the tables together have the bits of each alone.
void ExpectRowsAlone(Model& model, const std::vector<float>& rows,
                     const std::vector<float>& together) {
  std::vector<float> alone(together.size());
  for (size_t row = 0; row < rows.size() / model.input_width(); ++row) {
    const auto in =
        absl::MakeConstSpan(rows).subspan(row * model.input_width(), model.input_width());
    const auto out =
        absl::MakeSpan(alone).subspan(row * model.output_width(), model.output_width());
    ASSERT_TRUE(model.RunRows(in, 1, out).ok());
  }
  EXPECT_TRUE(SameBits(alone, together));
}

std::vector<float> LogitsFrom(const std::string& store, uint64_t arena_bytes, unsigned threads) {
  ModelOptions options;
  options.store.arena_bytes = arena_bytes;
  options.store.threads = threads;
  const auto model = OpenOrNull(store, options);
  if (model == nullptr) return {};
  std::vector<float> logits = LogitsOf(*model, kTokens, kVocabulary);
  for (const size_t piece : {size_t{5}, size_t{kTokens}}) {
    EXPECT_TRUE(SameBits(LogitsTogether(*model, kTokens, kVocabulary, piece), logits)) << piece;
  }
  return logits;
}

TEST_P(Exactness, SameBitsHoweverKept) {
  const std::string model = WriteLlama(scratch_, "llama", Llama());
  std::vector<Keeping> keepings;
  for (const bool mirror : {false, true}) {
    for (const Codec codec : {Codec::kProduct, Codec::kDelta, Codec::kRaw}) {
      keepings.push_back({Layout::kTile, codec, mirror});
    }
    keepings.push_back({Layout::kRow, Codec::kRaw, mirror});
  }
  std::vector<float> expected;
  std::set<std::string> hashes;
  for (const Keeping& keeping : keepings) {
    const std::string store = scratch_ / "store";
    std::filesystem::remove_all(store);
    const auto report = BuildStore(model, store, Options(keeping));
    ASSERT_TRUE(report.ok()) << Message(report.status());
    hashes.insert(report->content_hash.Hex());
    const std::string kept = fmt::format("{} {}{}", Name(keeping.layout), Name(keeping.codec),
                                         keeping.mirror ? " mirrored" : "");
    if (expected.empty()) expected = LogitsFrom(store, 0, 1);
    for (const uint64_t arena : {uint64_t{0}, uint64_t{100 << 10}, uint64_t{256} << 20}) {
      EXPECT_TRUE(SameBits(LogitsFrom(store, arena, 1), expected)) << kept << ", arena " << arena;
    }
    EXPECT_TRUE(SameBits(LogitsFrom(store, 256 << 20, 1), expected))
        << kept << ", arena filled before";
    EXPECT_TRUE(SameBits(LogitsFrom(store, 256 << 20, 2), expected)) << kept << ", two threads";
  }
  EXPECT_EQ(hashes.size(), 1u);
}

TEST_P(Exactness, SameBitsOnEveryInstructionSet) {
  const std::string model = WriteLlama(scratch_, "llama", Llama());
  BuildOrFail(model, scratch_ / "store", Options({Layout::kTile, Codec::kSmallest, false}));
  const std::string before = kernels::IsaName();
  std::vector<float> tables, reference;
  for (const std::string& isa : InstructionSets()) {
    ASSERT_TRUE(kernels::ForceIsa(isa.c_str()));
    const std::vector<float> logits = LogitsFrom(scratch_ / "store", 0, 1);
    if (tables.empty()) tables = logits;
    EXPECT_TRUE(SameBits(logits, tables)) << isa;
    const auto f32 = OpenOrNull(scratch_ / "store", {.store = {}, .reference = true});
    ASSERT_NE(f32, nullptr);
    const std::vector<float> f32_logits = LogitsOf(*f32, kTokens, kVocabulary);
    EXPECT_TRUE(SameBits(LogitsTogether(*f32, kTokens, kVocabulary, 7), f32_logits)) << isa;
    if (reference.empty()) reference = f32_logits;
    EXPECT_TRUE(SameBits(f32_logits, reference)) << isa << ", reference";
  }
  EXPECT_FALSE(SameBits(tables, reference));
  ASSERT_TRUE(kernels::ForceIsa(before.c_str()));
}

std::string CodingName(const testing::TestParamInfo<Coding>& info) {
  return fmt::format("{}bit_{}_chunk{}_{}", info.param.bits, Name(info.param.grid),
                     info.param.chunk, Name(info.param.entry));
}

INSTANTIATE_TEST_SUITE_P(Codings, Exactness,
                         testing::Values(Coding{8, Grid::kSigned, 1, EntryType::kI16},
                                         Coding{8, Grid::kUnsigned, 1, EntryType::kI8},
                                         Coding{1, Grid::kSigned, 8, EntryType::kI16},
                                         Coding{3, Grid::kSigned, 3, EntryType::kI16},
                                         Coding{2, Grid::kUnsigned, 3, EntryType::kI8},
                                         Coding{10, Grid::kSigned, 1, EntryType::kI16}),
                         CodingName);

// 65,535 and 65,536 codes: the widest a code can be. One small layer, because each holds 9 million
// entries.
class SixteenBits : public testing::TestWithParam<Grid> {};

TEST_P(SixteenBits, SameBitsHoweverKept) {
  ScratchDirectory scratch;
  const std::string model = scratch / "net.safetensors";
  const std::string graph = scratch / "net.graph.json";
  std::ofstream(model, std::ios::binary) << SafetensorsBytes({MakeTensor("w", {70, 2})});
  std::ofstream(graph) << R"({"format": "lutdb-graph-1", "name": "wide", "input": {"width": 2},
    "ops": [{"op": "linear", "weight": "w"}]})";
  std::vector<float> rows(2 * 50);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = 0.013f * static_cast<float>(static_cast<int>(i * 37 % 200) - 100);
  }
  std::vector<float> expected, output(70 * 50);
  std::set<std::string> hashes;
  const auto run = [&](const Keeping& keeping) {
    BuildOptions options;
    options.graph_file = graph;
    options.input_bits = 16;
    options.grid = GetParam();
    options.layout = keeping.layout;
    options.codec = keeping.codec;
    options.mirror = keeping.mirror;
    const std::string store = scratch / "store";
    std::filesystem::remove_all(store);
    const auto report = BuildStore(model, store, options);
    ASSERT_TRUE(report.ok()) << Message(report.status());
    hashes.insert(report->content_hash.Hex());
    for (const uint64_t arena : {uint64_t{0}, uint64_t{100} << 10, uint64_t{256} << 20}) {
      ModelOptions open;
      open.store.arena_bytes = arena;
      open.store.threads = arena == 0 ? 1 : 2;
      const auto tables = OpenOrNull(store, open);
      ASSERT_NE(tables, nullptr);
      ASSERT_TRUE(tables->RunRows(rows, 50, absl::MakeSpan(output)).ok());
      ExpectRowsAlone(*tables, rows, output);
      if (expected.empty()) expected = output;
      EXPECT_TRUE(SameBits(output, expected))
          << Name(keeping.layout) << Name(keeping.codec) << keeping.mirror << ", arena " << arena;
    }
  };
  for (const bool mirror : {false, true}) {
    for (const Codec codec : {Codec::kProduct, Codec::kDelta, Codec::kRaw}) {
      run({Layout::kTile, codec, mirror});
    }
    run({Layout::kRow, Codec::kRaw, mirror});
  }
  EXPECT_EQ(hashes.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Grids, SixteenBits, testing::Values(Grid::kSigned, Grid::kUnsigned),
                         [](const auto& grid) { return std::string(Name(grid.param)); });

// Chunks as lists: permuted, overlapping, of different lengths, grids and bits.
TEST(Lists, SameBitsEverywhereAndCloseToTheWeights) {
  ScratchDirectory scratch;
  const std::string model = scratch / "net.safetensors";
  const std::string graph = scratch / "net.graph.json";
  std::ofstream(model, std::ios::binary) << SafetensorsBytes({MakeTensor("w", {70, 7})});
  std::ofstream(graph) << R"({"format": "lutdb-graph-1", "name": "lists", "input": {"width": 7},
    "ops": [{"op": "linear", "weight": "w", "table": {"chunks": [
      {"inputs": [6, 0], "bits": [7, 8]}, {"inputs": [3], "bits": 12},
      {"inputs": [0, 5, 2], "bits": [2, 6, 7]}, {"inputs": [1, 4], "bits": 8}]}}]})";
  std::vector<float> rows(7 * 20);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = 0.01f * static_cast<float>(static_cast<int>(i * 37 % 200) - 100);
  }
  std::vector<float> reference(70 * 20), expected, output(70 * 20);
  for (const Layout layout : {Layout::kTile, Layout::kRow}) {
    const std::string store = scratch / Name(layout);
    BuildOptions options;
    options.graph_file = graph;
    options.layout = layout;
    BuildOrFail(model, store, options);
    for (const uint64_t arena : {uint64_t{0}, uint64_t{64} << 20}) {
      ModelOptions open;
      open.store.arena_bytes = arena;
      const auto tables = OpenOrNull(store, open);
      ASSERT_NE(tables, nullptr);
      ASSERT_TRUE(tables->RunRows(rows, 20, absl::MakeSpan(output)).ok());
      ExpectRowsAlone(*tables, rows, output);
      if (expected.empty()) expected = output;
      EXPECT_TRUE(SameBits(output, expected)) << Name(layout) << ", arena " << arena;
    }
    const auto f32 = OpenOrNull(store, {.store = {}, .reference = true});
    ASSERT_TRUE(f32->RunRows(rows, 20, absl::MakeSpan(reference)).ok());
  }
  double lost = 0, total = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    lost += (output[i] - reference[i]) * (output[i] - reference[i]);
    total += reference[i] * reference[i];
  }
  EXPECT_LT(lost / total, 2e-4);  // about 7 bits of the inputs
}

// Wide enough that layers, and heads over more than one segment of the cache, are split.
class WideModel : public testing::Test {
 protected:
  static constexpr uint32_t kWideVocabulary = 320;

  void SetUp() override {
    TinyLlama llama;
    llama.hidden = 512;
    llama.intermediate = 300;
    llama.layers = 1;
    llama.heads = 8;
    llama.kv_heads = 2;
    llama.vocabulary = kWideVocabulary;
    llama.context = 150;
    BuildOptions options;
    options.input_bits = 4;
    BuildOrFail(WriteLlama(scratch_, "llama", llama), store_, options);
  }
  ScratchDirectory scratch_;
  const std::string store_ = scratch_ / "store";
};

TEST_F(WideModel, SameBitsForAnyNumberOfThreads) {
  for (const bool reference : {false, true}) {
    std::vector<float> expected;
    for (const unsigned threads : {1u, 2u, 3u, 7u}) {
      ModelOptions options;
      options.store.threads = threads;
      options.reference = reference;
      const auto model = OpenOrNull(store_, options);
      ASSERT_NE(model, nullptr);
      const std::vector<float> logits = LogitsOf(*model, 140, kWideVocabulary);
      if (expected.empty()) expected = logits;
      EXPECT_TRUE(SameBits(logits, expected)) << threads << " threads, reference " << reference;
    }
  }
}

TEST_F(WideModel, HeldAndStreamedWeightsGiveTheSameBits) {
  const auto store = StoreReader::Open(store_, 1 << 20);
  ASSERT_TRUE(store.ok()) << store.status();
  for (const TableSpec& table : (*store)->manifest().tables) {
    std::vector<float> x(table.inputs), held(table.neurons), streamed(table.neurons);
    for (uint32_t i = 0; i < table.inputs; ++i) x[i] = static_cast<float>(i % 13) - 6.5f;
    ThreadTeam one(1), two(2);
    SourceMatrix in_memory(**store, table.weight_tensor, one);
    ASSERT_TRUE(in_memory.Hold().ok());
    ASSERT_TRUE(in_memory.Multiply(x.data(), nullptr, held.data()).ok());
    SourceMatrix from_store(**store, table.weight_tensor, two);
    ASSERT_TRUE(from_store.Multiply(x.data(), nullptr, streamed.data()).ok());
    EXPECT_TRUE(SameBits(held, streamed)) << table.name;
  }
}

}  // namespace
}  // namespace lutdb
