// Stores that are damaged, half-built, of a newer version or locked, and model files that are cut.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Raw records, so that by far the largest file holds the records of `hidden`.
void Build(const std::string& store) {
  const ProcessResult built =
      Lutdb({"build", SourcePath("models/digits/digits.safetensors"), store, "--graph",
             SourcePath("models/digits/digits.graph.json"), "--codec", "raw"});
  ASSERT_EQ(built.exit_code, 0) << built.err;
}

void ExpectOneLine(const ProcessResult& result) {
  EXPECT_EQ(result.err.rfind("lutdb: ", 0), 0u) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

std::string LargestTableFile(const std::string& store) {
  std::string largest;
  uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(store + "/db")) {
    if (entry.path().extension() == ".sst" && entry.file_size() > bytes) {
      bytes = entry.file_size();
      largest = entry.path();
    }
  }
  return largest;
}

TEST(Damage, AFlippedByteIsFoundAndMended) {
  ScratchDirectory scratch;
  const std::string store = scratch / "d.lut";
  Build(store);
  const std::string hash = Json::parse(Lutdb({"info", store, "--json"}).out).at("content_hash");
  const std::string path = LargestTableFile(store);
  ASSERT_NE(path, "");
  std::string bytes = ReadWholeFile(path);
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 0x10);
  WriteWholeFile(path, bytes);

  const ProcessResult found = Lutdb({"verify", store, "--deep", "--json"});
  EXPECT_EQ(found.exit_code, 1);
  const Json report = Json::parse(found.out);
  EXPECT_EQ(report.at("clean"), false);
  EXPECT_GE(report.at("problems").size(), 1u);
  EXPECT_NE(found.err.find("repair"), std::string::npos) << found.err;

  const ProcessResult repaired = Lutdb({"repair", store, "--json"});
  ASSERT_EQ(repaired.exit_code, 0) << repaired.err;
  EXPECT_GE(Json::parse(repaired.out).at("files_rebuilt"), 1);
  EXPECT_EQ(Lutdb({"verify", store, "--deep"}).exit_code, 0);
  EXPECT_EQ(Lutdb({"verify", store, "--exact", "1"}).exit_code, 0);
  EXPECT_EQ(Json::parse(Lutdb({"info", store, "--json"}).out).at("content_hash"), hash);
}

TEST(Damage, LostWeightsAreSaidToBeLost) {
  ScratchDirectory scratch;
  const std::string store = scratch / "d.lut";
  const ProcessResult built = Lutdb({"build", SourcePath("models/digits/digits.safetensors"), store,
                                     "--graph", SourcePath("models/digits/digits.graph.json")});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  // Of product records, the kept source weights are the largest file.
  const std::string path = LargestTableFile(store);
  std::string bytes = ReadWholeFile(path);
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 0x10);
  WriteWholeFile(path, bytes);
  const ProcessResult result = Lutdb({"repair", store});
  EXPECT_EQ(result.exit_code, 1);
  ExpectOneLine(result);
  EXPECT_EQ(Lutdb({"verify", store, "--deep"}).exit_code, 1);
}

TEST(Damage, AMissingTableFile) {
  ScratchDirectory scratch;
  const std::string store = scratch / "d.lut";
  Build(store);
  fs::remove(LargestTableFile(store));
  EXPECT_EQ(Lutdb({"verify", store, "--deep"}).exit_code, 1);
  const ProcessResult get = Lutdb({"get", store, "hidden[0, 0, :]"});
  EXPECT_EQ(get.exit_code, 1);
  ExpectOneLine(get);
}

TEST(Damage, ALostGenerationFileIsNoOlderStore) {
  ScratchDirectory scratch;
  const std::string store = scratch / "d.lut";
  Build(store);
  for (const bool collected : {false, true}) {
    const auto set = [&](const char* value) {
      return Lutdb({"set", store, "output[0,0,0]", value, "-m", "a value"}).exit_code;
    };
    ASSERT_EQ(set(collected ? "raw:3" : "raw:1"), 0);
    ASSERT_EQ(Lutdb({"bake", store}).exit_code, 0);
    ASSERT_EQ(set(collected ? "raw:4" : "raw:2"), 0);
    const std::string values = Lutdb({"get", store, "output[0,0,0]", "--csv"}).out;
    if (collected) {
      ASSERT_EQ(Lutdb({"gc", store}).exit_code, 0);
    }
    fs::remove(store + "/generation");
    for (const char* command : {"info", "gc", "bake"}) {
      const ProcessResult refused = Lutdb({command, store});
      EXPECT_EQ(refused.exit_code, 1);
      ExpectOneLine(refused);
      EXPECT_NE(refused.err.find("repair"), std::string::npos) << refused.err;
    }
    ASSERT_EQ(Lutdb({"repair", store}).exit_code, 0);
    EXPECT_EQ(Lutdb({"get", store, "output[0,0,0]", "--csv"}).out, values);
  }
}

TEST(Damage, ACopyOrAMovedStoreIsAsGood) {
  ScratchDirectory scratch;
  Build(scratch / "d.lut");
  const std::string before = Lutdb({"get", scratch / "d.lut", "output[3]", "--csv"}).out;
  fs::copy(scratch / "d.lut", scratch / "copy.lut", fs::copy_options::recursive);
  fs::rename(scratch / "d.lut", scratch / "moved.lut");
  EXPECT_EQ(Lutdb({"get", scratch / "copy.lut", "output[3]", "--csv"}).out, before);
  EXPECT_EQ(Lutdb({"get", scratch / "moved.lut", "output[3]", "--csv"}).out, before);
}

TEST(Damage, AStoreThatIsHalfBuilt) {
  ScratchDirectory scratch;
  Build(scratch / "d.lut");
  fs::rename(scratch / "d.lut", scratch / "d.lut.partial");
  const ProcessResult result = Lutdb({"info", scratch / "d.lut"});
  EXPECT_EQ(result.exit_code, 1);
  ExpectOneLine(result);
}

TEST(Damage, AWriterThatHoldsTheStore) {
  ScratchDirectory scratch;
  const std::string store = scratch / "d.lut";
  Build(store);
  const auto lock = FileLock::Acquire(store + "/lock", 0);
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_EQ(Lutdb({"info", store}).exit_code, 0) << "reading never waits";
  const ProcessResult result = Lutdb({"repair", store, "--wait", "0"});
  EXPECT_EQ(result.exit_code, 1);
  ExpectOneLine(result);
  EXPECT_NE(result.err.find("writer"), std::string::npos) << result.err;
}

TEST(Damage, ModelFilesThatAreCutOrChanged) {
  ScratchDirectory scratch;
  const std::string whole = ReadWholeFile(SourcePath("models/digits/digits.safetensors"));
  const std::string model = scratch / "cut.safetensors";
  std::string lying = whole;
  lying[0] = '\xff';
  lying[5] = '\xff';  // a header longer than the file
  for (const std::string& bytes :
       {whole.substr(0, 0), whole.substr(0, 7), whole.substr(0, 100), whole.substr(0, 1000),
        whole.substr(0, whole.size() - 1), whole + "x", lying}) {
    WriteWholeFile(model, bytes);
    const ProcessResult result = Lutdb({"build", model, scratch / "s.lut", "--graph",
                                        SourcePath("models/digits/digits.graph.json")});
    EXPECT_EQ(result.exit_code, 1) << bytes.size();
    ExpectOneLine(result);
    EXPECT_NE(result.err.find("cut.safetensors"), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(scratch / "s.lut"));
  }
}

TEST(Damage, WeightsThatAreNotFinite) {
  ScratchDirectory scratch;
  std::string bytes = ReadWholeFile(SourcePath("models/digits/digits.safetensors"));
  // The last tensor's last number becomes NaN; try a place in the middle as well.
  for (const size_t place : {bytes.size() - 4, bytes.size() / 8 * 4}) {
    std::string changed = bytes;
    changed.replace(place, 4, std::string("\x00\x00\xc0\x7f", 4));
    WriteWholeFile(scratch / "nan.safetensors", changed);
    const ProcessResult result = Lutdb({"build", scratch / "nan.safetensors", scratch / "s.lut",
                                        "--graph", SourcePath("models/digits/digits.graph.json")});
    EXPECT_EQ(result.exit_code, 1) << place;
    ExpectOneLine(result);
    EXPECT_FALSE(fs::exists(scratch / "s.lut"));
    fs::remove_all(scratch / "s.lut.partial");
  }
}

}  // namespace
}  // namespace lutdb
