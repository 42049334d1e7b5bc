// What a build makes does not depend on how it is kept or made.

#include <atomic>
#include <filesystem>

#include "db/manifest.h"
#include "db/store_files.h"
#include "tests/ingest/built_stores.h"

namespace lutdb {
namespace {

struct Coding {
  int input_bits;
  uint32_t chunk;
  Grid grid;
  EntryType entry;
};

class CodingTest : public testing::TestWithParam<Coding> {};

// Every layout, codec and number of threads holds the same entries, mirrored or not.
TEST_P(CodingTest, ContentHashIsThatOfTheEntries) {
  const TestDirectory directory;
  // 70 neurons: a block is not full. 37 inputs: no chunk longer than 1 divides them.
  std::string model;
  BuildOptions base;
  base.graph_file = WriteFeedForward(directory, {}, &model);
  base.input_bits = GetParam().input_bits;
  base.chunk = GetParam().chunk;
  base.grid = GetParam().grid;
  base.entry = GetParam().entry;
  const Hash128 expected = BuildAndVerify(model, directory.At("base"), base);
  EXPECT_FALSE(expected == Hash128{});

  const bool large = base.input_bits >= 16;  // entries themselves take tens of MB: one of them
  int number = 0;
  for (const bool mirror : {false, true}) {
    for (const Codec codec : {Codec::kProduct, Codec::kDelta, Codec::kRaw}) {
      if (large && (mirror || codec == Codec::kDelta)) continue;
      BuildOptions options = base;
      options.mirror = mirror;
      options.codec = codec;
      options.threads = mirror ? 1 : 2;
      const std::string store = directory.At(fmt::format("tile{}", number++));
      EXPECT_EQ(BuildAndVerify(model, store, options), expected)
          << Name(codec) << (mirror ? " mirrored" : "");
      std::filesystem::remove_all(store);
    }
    if (large) continue;
    BuildOptions options = base;
    options.mirror = mirror;
    options.layout = Layout::kRow;
    EXPECT_EQ(BuildAndVerify(model, directory.At(fmt::format("row{}", mirror)), options), expected)
        << "rows" << (mirror ? " mirrored" : "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, CodingTest,
                         testing::Values(Coding{8, 1, Grid::kSigned, EntryType::kI16},
                                         Coding{8, 1, Grid::kUnsigned, EntryType::kI16},
                                         Coding{1, 1, Grid::kSigned, EntryType::kI16},
                                         Coding{1, 3, Grid::kUnsigned, EntryType::kI8},
                                         Coding{4, 2, Grid::kSigned, EntryType::kI16},
                                         Coding{3, 3, Grid::kUnsigned, EntryType::kI16},
                                         Coding{3, 3, Grid::kSigned, EntryType::kI8},
                                         Coding{7, 1, Grid::kSigned, EntryType::kI8},
                                         Coding{11, 1, Grid::kSigned, EntryType::kI16},
                                         Coding{16, 1, Grid::kSigned, EntryType::kI16}),
                         [](const auto& param_info) {
                           return fmt::format("{}bits_chunk{}_{}_{}", param_info.param.input_bits,
                                              param_info.param.chunk, Name(param_info.param.grid),
                                              Name(param_info.param.entry));
                         });

TEST(BuildTest, ChunksGivenAsListsBuildInEveryLayout) {
  const TestDirectory directory;
  FeedForward shape;
  shape.inputs = 5;
  shape.table = R"({"chunks":[{"inputs":[4,0],"bits":[3,5]},{"inputs":[1,2,0],"bits":[2,2,4]},)"
                R"({"inputs":[3],"bits":[8]}]})";
  std::string model;
  BuildOptions options;
  options.graph_file = WriteFeedForward(directory, shape, &model);
  const Hash128 tile = BuildAndVerify(model, directory.At("tile"), options);
  options.layout = Layout::kRow;
  EXPECT_EQ(BuildAndVerify(model, directory.At("row"), options), tile);
  options.layout = Layout::kTile;
  options.mirror = true;
  options.codec = Codec::kDelta;
  EXPECT_EQ(BuildAndVerify(model, directory.At("delta"), options), tile);
}

TEST(BuildTest, MemoryDoesNotChangeWhatIsBuilt) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {.hidden = 128, .intermediate = 200});
  BuildOptions options;
  options.memory_bytes = uint64_t{1} << 30;
  const Hash128 large = BuildAndVerify(model, directory.At("large"), options);
  options.memory_bytes = 64 << 20;
  EXPECT_EQ(BuildAndVerify(model, directory.At("small"), options), large);
  options.memory_bytes = 1 << 20;
  ExpectError(BuildStore(model, directory.At("none"), options).status(),
              absl::StatusCode::kInvalidArgument, "at least 64 MiB", "--memory");
  EXPECT_FALSE(std::filesystem::exists(directory.At("none.partial")));
}

TEST(BuildTest, ReportsAndManifestAgreeWithThePlan) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {.hidden = 64, .intermediate = 96});
  const BuildOptions options;
  const auto plan = PlanBuild(model, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto built = BuildStore(model, directory.At("s"), options);
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(plan->raw_bytes, built->raw_bytes);
  EXPECT_EQ(plan->raw_bytes, plan->weights * 255 * 2);
  EXPECT_EQ(plan->read_bytes_per_token, plan->weights * 2);
  EXPECT_LT(built->stored_bytes, plan->stored_bytes_estimate * 12 / 10);
  EXPECT_GT(built->stored_bytes, plan->stored_bytes_estimate * 8 / 10);

  const auto opened = db::OpenStore(directory.At("s"), db::Access::kRead, {});
  ASSERT_TRUE(opened.ok()) << opened.status();
  const Manifest& manifest = opened->manifest;
  EXPECT_EQ(manifest.content_hash, built->content_hash);
  EXPECT_EQ(manifest.ranges, built->ranges);
  EXPECT_EQ(manifest.ranges_resumed, 0u);
  uint64_t raw = 0;
  for (const TableStats& stats : manifest.stats) {
    raw += stats.raw_bytes;
    EXPECT_EQ(stats.derived_entries, stats.raw_bytes / 2);
  }
  EXPECT_EQ(raw, built->raw_bytes);
  for (const char* left : {"journal", "staging"}) {
    EXPECT_FALSE(std::filesystem::exists(directory.At(std::string("s/") + left))) << left;
  }
  EXPECT_FALSE(std::filesystem::exists(directory.At("s.partial")));
}

TEST(BuildTest, AStoreOfTheSamePlanIsLeftAloneAndAnotherIsRefused) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {});
  BuildOptions options;
  const std::string store = directory.At("s");
  const Hash128 hash = BuildAndVerify(model, store, options);
  const auto again = BuildStore(model, store, options);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_built);
  EXPECT_EQ(again->content_hash, hash);
  options.threads = 1;  // performance options are no part of the plan
  EXPECT_TRUE(BuildStore(model, store, options).ok());
  options.input_bits = 4;
  ExpectError(BuildStore(model, store, options).status(), absl::StatusCode::kFailedPrecondition,
              "another plan", store);
  // One bit of one weight makes another model, although all shapes are the same.
  options.input_bits = 8;
  const std::string file = directory.At("model/model.safetensors");
  std::string bytes = FileBytes(file);
  bytes[bytes.size() - 40] ^= 1;
  directory.Write("model/model.safetensors", bytes);
  ExpectError(BuildStore(model, store, options).status(), absl::StatusCode::kFailedPrecondition,
              "another plan", store);
}

TEST(BuildTest, RefusesContradictionsAndBadWeights) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {});
  const std::string store = directory.At("s");
  const auto expect = [&](const BuildOptions& options, const char* text) {
    ExpectError(BuildStore(model, store, options).status(), absl::StatusCode::kInvalidArgument,
                text, "");
  };
  BuildOptions options;
  options.layout = Layout::kRow;
  options.codec = Codec::kDelta;
  expect(options, "--layout row");
  options = {};
  options.input_bits = 17;
  expect(options, "1 to 16");
  options.input_bits = 8;
  options.chunk = 3;
  expect(options, "codes");
  std::filesystem::create_directory(store);
  std::filesystem::create_directory(store + "/photos");
  ExpectError(BuildStore(model, store, {}).status(), absl::StatusCode::kFailedPrecondition,
              "no lutdb store", store);
  EXPECT_FALSE(std::filesystem::exists(store + ".partial"));

  FeedForward shape;
  std::vector<TestTensor> tensors = shape.Tensors();
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(tensors[0].bytes.data() + (3 * shape.inputs + 5) * sizeof(float), &bad, sizeof(bad));
  BuildOptions graph;
  graph.graph_file = directory.Write("g.json", shape.Graph());
  const std::string damaged = directory.Write("bad.safetensors", SafetensorsBytes(tensors));
  ExpectError(BuildStore(damaged, directory.At("bad"), graph).status(), absl::StatusCode::kDataLoss,
              "row 3, column 5 is nan", "l0");
  EXPECT_FALSE(std::filesystem::exists(directory.At("bad.partial")));
}

TEST(BuildTest, CancelKeepsWhatIsFinished) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {.hidden = 64, .intermediate = 96});
  const std::string store = directory.At("s");
  std::atomic<bool> cancel{false};
  BuildOptions options;
  options.threads = 1;
  options.cancel = &cancel;
  options.progress = [&](const Progress& progress) {
    if (std::string(progress.stage) == "records") cancel = true;
  };
  ExpectError(BuildStore(model, store, options).status(), absl::StatusCode::kCancelled,
              "build again to resume", store);
  EXPECT_FALSE(std::filesystem::exists(store));
  // Another plan neither uses nor harms what is there.
  BuildOptions other;
  other.input_bits = 5;
  ExpectError(BuildStore(model, store, other).status(), absl::StatusCode::kFailedPrecondition,
              "other build options", store + ".partial");
  const Hash128 resumed = BuildAndVerify(model, store, {});
  EXPECT_EQ(resumed, BuildAndVerify(model, directory.At("t"), {}));
}

}  // namespace
}  // namespace lutdb
