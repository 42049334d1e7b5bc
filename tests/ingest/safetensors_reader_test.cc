// safetensors files and sharded directories: what is read, and every way a file can be wrong.
#include <random>

#include "ingest/safetensors.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

using absl::StatusCode;

TEST(SafetensorsReader, ListsTensorsWithTheirShapesAndData) {
  const TestDirectory directory;
  const auto a = MakeTensor("a", {2, 3});
  const auto b = MakeTensor("b", {5});
  const TestTensor empty{"empty", "I64", {0, 4}, ""};
  const TestTensor scalar{"scalar", "BF16", {}, "xy"};
  const std::string path =
      directory.Write("m.safetensors", SafetensorsBytes({a, empty, b, scalar}));
  const auto catalog = OpenSafetensorsFile(path);
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  ASSERT_EQ(catalog->tensors.size(), 4u);
  for (const TestTensor& tensor : {a, b, empty, scalar}) {
    const CatalogTensor& found = catalog->tensors.at(tensor.name);
    EXPECT_EQ(found.dtype, tensor.dtype);
    EXPECT_EQ(found.shape, tensor.shape);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(found.data), tensor.bytes.size()),
              tensor.bytes);
  }
}

struct BadFile {
  const char* what;
  std::string bytes;
  StatusCode code;
  const char* message;
};

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}

std::vector<BadFile> BadFiles() {
  const std::string four(4, 'x'), eight(8, 'x');
  const auto file = [](const std::string& entries, const std::string& data) {
    return SafetensorsWithHeader("{" + entries + "}", data);
  };
  const std::string long_header = "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
  const std::string a = Entry("a", "F32", "[1]", "[0,4]");
  std::string deep = R"("a":)" + std::string(100000, '[');
  return {
      {"empty", "", StatusCode::kDataLoss, "too few"},
      {"seven bytes", std::string(7, '\0'), StatusCode::kDataLoss, "too few"},
      {"header beyond the file", long_header, StatusCode::kDataLoss, "truncated"},
      {"no JSON", SafetensorsWithHeader("{\"a\":", ""), StatusCode::kDataLoss, "not valid JSON"},
      {"not UTF-8", SafetensorsWithHeader("{\"\xff\":1}", ""), StatusCode::kDataLoss, "JSON"},
      {"bytes after the JSON", SafetensorsWithHeader("{}x", ""), StatusCode::kDataLoss, "JSON"},
      {"a list", SafetensorsWithHeader("[]", ""), StatusCode::kDataLoss, "not a JSON object"},
      {"nested deeply", file(deep, ""), StatusCode::kDataLoss, "deeper than"},
      {"entry no object", file(R"("a":1)", ""), StatusCode::kDataLoss, "not an object"},
      {"no dtype", file(R"("a":{"shape":[1]})", four), StatusCode::kDataLoss, "dtype is missing"},
      {"unknown field", file(R"("a":{"dtype":"F32","shap":[1]})", four), StatusCode::kDataLoss,
       "misspelt"},
      {"unknown dtype", file(Entry("a", "F128", "[1]", "[0,4]"), four), StatusCode::kUnimplemented,
       "element type \"F128\""},
      {"shape of text", file(Entry("a", "F32", "\"1\"", "[0,4]"), four), StatusCode::kDataLoss,
       "shape"},
      {"negative shape", file(Entry("a", "F32", "[-1]", "[0,4]"), four), StatusCode::kDataLoss,
       "shape"},
      {"fraction", file(Entry("a", "F32", "[1.5]", "[0,4]"), four), StatusCode::kDataLoss, "shape"},
      {"one offset", file(Entry("a", "F32", "[1]", "[0]"), four), StatusCode::kDataLoss,
       "data_offsets"},
      {"backwards", file(Entry("a", "F32", "[1]", "[4,0]"), four), StatusCode::kDataLoss,
       "lie outside"},
      {"beyond the file", file(Entry("a", "F32", "[2]", "[0,8]"), four), StatusCode::kDataLoss,
       "truncated"},
      {"shape too small", file(Entry("a", "F32", "[1]", "[0,8]"), eight), StatusCode::kDataLoss,
       "needs 4 bytes, data_offsets give 8"},
      {"shape overflows",
       file(Entry("a", "F32", "[4294967296,4294967296,4294967296]", "[0,4]"), four),
       StatusCode::kDataLoss, "too many"},
      {"too many dimensions",
       file(Entry("a", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), four),
       StatusCode::kDataLoss, "shape"},
      {"half a byte", file(Entry("a", "F4", "[1]", "[0,1]"), "x"), StatusCode::kDataLoss, "needs"},
      {"overlap", file(a + "," + Entry("b", "F32", "[1]", "[2,6]"), std::string(6, 'x')),
       StatusCode::kDataLoss, "overlaps"},
      {"the same bytes", file(a + "," + Entry("b", "F32", "[1]", "[0,4]"), four),
       StatusCode::kDataLoss, "overlaps"},
      {"hole at the start", file(Entry("a", "F32", "[1]", "[4,8]"), eight), StatusCode::kDataLoss,
       "bytes 0 to 4"},
      {"hole", file(a + "," + Entry("b", "F32", "[1]", "[8,12]"), std::string(12, 'x')),
       StatusCode::kDataLoss, "bytes 4 to 8"},
      {"bytes at the end", file(a, eight), StatusCode::kDataLoss, "last 4 bytes"},
      {"listed twice", file(a + "," + a, four), StatusCode::kDataLoss, "twice"},
      {"line break in a name", file(R"("a\nb":1)", ""), StatusCode::kDataLoss, R"("a\nb")"},
  };
}

TEST(SafetensorsReader, RefusesBadFiles) {
  const TestDirectory directory;
  for (const BadFile& bad : BadFiles()) {
    SCOPED_TRACE(bad.what);
    const std::string path = directory.Write("bad.safetensors", bad.bytes);
    ExpectError(OpenSafetensorsFile(path).status(), bad.code, bad.message, path);
  }
  ExpectError(OpenSafetensorsFile(directory.At("absent")).status(), StatusCode::kNotFound, "",
              "absent");
  ExpectError(OpenSafetensorsFile(directory.path()).status(), StatusCode::kFailedPrecondition, "",
              directory.path());
}

// A header longer than 100 MiB is refused by its length alone; the file is sparse.
TEST(SafetensorsReader, RefusesAnAbsurdHeader) {
  const TestDirectory directory;
  std::string length;
  AppendLittle<uint64_t>((100 << 20) + 1, &length);
  const std::string path = directory.Write("big.safetensors", length + "{");
  std::filesystem::resize_file(path, 200 << 20);
  ExpectError(OpenSafetensorsFile(path).status(), StatusCode::kDataLoss, "more than the format",
              path);
}

std::string Index(const std::string& weight_map) {
  return R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}";
}

TEST(SafetensorsReader, ReadsShards) {
  const TestDirectory directory;
  directory.Write("one.safetensors",
                  SafetensorsBytes({MakeTensor("a", {2}), MakeTensor("x", {1})}));
  directory.Write("two.safetensors", SafetensorsBytes({MakeTensor("b", {3})}));
  directory.Write("model.safetensors.index.json",
                  Index(R"({"a":"one.safetensors","b":"two.safetensors"})"));
  const auto catalog = OpenSafetensorsDirectory(directory.path());
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  EXPECT_EQ(catalog->files.size(), 2u);
  ASSERT_EQ(catalog->tensors.size(), 2u);
  const TestTensor b = MakeTensor("b", {3});
  EXPECT_EQ(std::memcmp(catalog->tensors.at("b").data, b.bytes.data(), b.bytes.size()), 0);
}

TEST(SafetensorsReader, RefusesBadIndexes) {
  const TestDirectory outside, directory;
  outside.Write("secret.safetensors", SafetensorsBytes({MakeTensor("a", {2})}));
  directory.Write("one.safetensors", SafetensorsBytes({MakeTensor("a", {2})}));
  std::filesystem::create_symlink(outside.At("secret.safetensors"),
                                  directory.At("link.safetensors"));
  std::filesystem::create_symlink(directory.At("one.safetensors"),
                                  directory.At("near.safetensors"));
  const struct {
    std::string index;
    StatusCode code;
    const char* message;
  } cases[] = {
      {"{", StatusCode::kDataLoss, "not valid JSON"},
      {"{}", StatusCode::kDataLoss, "weight_map is missing"},
      {Index("[]"), StatusCode::kDataLoss, "weight_map"},
      {Index(R"({"a":1})"), StatusCode::kDataLoss, "no file name"},
      {Index(R"({"a":""})"), StatusCode::kDataLoss, "not a plain file name"},
      {Index(R"({"a":".."})"), StatusCode::kDataLoss, "not a plain file name"},
      {Index(R"({"a":"../secret.safetensors"})"), StatusCode::kDataLoss, "not a plain file name"},
      {Index(R"({"a":"/etc/passwd"})"), StatusCode::kDataLoss, "not a plain file name"},
      {Index(R"({"a":"one.safetensors\u0000"})"), StatusCode::kDataLoss, "not a plain file name"},
      {Index(R"({"a":"link.safetensors"})"), StatusCode::kDataLoss, "leads out of"},
      {Index(R"({"a":"absent.safetensors"})"), StatusCode::kNotFound, "absent.safetensors"},
      {Index(R"({"b":"one.safetensors"})"), StatusCode::kDataLoss, "is not in"},
      {Index(R"({"a":"one.safetensors","a":"one.safetensors"})"), StatusCode::kDataLoss, "twice"},
      {R"({"weight_map":{},"weight_map":{}})", StatusCode::kDataLoss, "twice"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.index);
    directory.Write("model.safetensors.index.json", bad.index);
    ExpectError(OpenSafetensorsDirectory(directory.path()).status(), bad.code, bad.message,
                directory.path());
  }
  directory.Write("model.safetensors.index.json", Index(R"({"a":"near.safetensors"})"));
  EXPECT_TRUE(OpenSafetensorsDirectory(directory.path()).ok());
  ExpectError(OpenSafetensorsDirectory(outside.path()).status(), StatusCode::kNotFound,
              "holds neither", outside.path());
}

// Whatever is cut off or flipped: a status, never a crash, and no tensor outside the file.
TEST(SafetensorsReader, SurvivesDamage) {
  const TestDirectory directory;
  const std::string good = SafetensorsBytes(
      {MakeTensor("a", {2, 3}), MakeTensor("b", {4}), {"c", "I64", {1}, "12345678"}});
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    for (uint64_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    }
    const std::string path = directory.Write("damaged.safetensors", bytes);
    const auto catalog = OpenSafetensorsFile(path);
    if (!catalog.ok()) {
      EXPECT_EQ(Message(catalog.status()).find('\n'), std::string::npos);
      continue;
    }
    const MappedFile& file = *catalog->files[0];
    for (const auto& [name, tensor] : catalog->tensors) {
      EXPECT_GE(tensor.data, file.data());
      EXPECT_LE(tensor.data, file.data() + file.size());
    }
  }
}

}  // namespace
}  // namespace lutdb
