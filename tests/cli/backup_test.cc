// lutdb backup: a copy that stands on its own, the way back, and what it refuses. Also: whose eyes
// a store is for, and that reading one leaves it as it is.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Must({"build", SourcePath("models/digits/digits.safetensors"), store_, "--graph",
          SourcePath("models/digits/digits.graph.json")});
    Must({"set", store_, "output[3, 17, 20]", "raw:51", "-m", "one"});
  }
  Json Must(std::vector<std::string> words) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? Json::parse(result.out) : Json();
  }
  std::string Entry(const std::string& store) {
    return Lutdb({"get", store, "output[3, 17, 20]", "--csv"}).out;
  }
  ScratchDirectory scratch_;
  const std::string store_ = scratch_ / "s.lut";
};

TEST_F(BackupTest, StandsOnItsOwnAndGoesBack) {
  const std::string before = Entry(store_);
  for (const bool copy : {false, true}) {
    const std::string name = scratch_ / (copy ? "copy.lut" : "links.lut");
    std::vector<std::string> words = {"backup", store_, name};
    if (copy) words.push_back("--copy");
    const Json report = Must(words);
    EXPECT_GT(report.at("bytes"), 0);
    EXPECT_EQ(report.at("linked_bytes") == 0, copy);
    EXPECT_EQ(Entry(name), before);
    EXPECT_EQ(Lutdb({"verify", name, "--deep"}).exit_code, 0);
    // What happens to one is not seen by the other.
    Must({"set", name, "output[3, 17, 20]", "raw:7", "-m", "in the copy"});
    EXPECT_NE(Entry(name), before);
    EXPECT_EQ(Entry(store_), before);
  }
  Must({"set", store_, "output[3, 17, 20]", "raw:8", "-m", "a mistake"});
  Must({"bake", store_});
  Must({"backup", store_, scratch_ / "baked.lut"});
  EXPECT_EQ(Entry(scratch_ / "baked.lut"), Entry(store_));
  EXPECT_EQ(Must({"info", scratch_ / "baked.lut"}).at("content_hash"),
            Must({"info", store_}).at("content_hash"));
  fs::remove_all(store_);
  Must({"backup", scratch_ / "baked.lut", store_});
  EXPECT_EQ(Entry(store_), Entry(scratch_ / "baked.lut"));
  EXPECT_EQ(Must({"log", store_}).at("commits").size(), 2u);
}

TEST_F(BackupTest, RefusesWhatIsThereAndWhatIsNot) {
  const auto expect = [&](const std::vector<std::string>& words, const char* part) {
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  expect({"backup", store_, store_}, "exists");
  expect({"backup", scratch_ / "none.lut", scratch_ / "b.lut"}, "no store at");
  EXPECT_FALSE(fs::exists(scratch_ / "b.lut"));
  expect({"backup", store_, scratch_ / "no/such/folder"}, "cannot make the directory");
  const auto lock = FileLock::Acquire(store_ + "/lock", 0);
  ASSERT_TRUE(lock.ok());
  expect({"backup", store_, scratch_ / "b.lut", "--wait", "0"}, "another writer");
  EXPECT_FALSE(fs::exists(scratch_ / "b.lut.copying"));
  for (const std::string& inside : {store_ + "/copy", store_ + "/db/../copy.lut/"}) {
    const ProcessResult result = Lutdb({"backup", store_, inside});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find("lies in the store"), std::string::npos) << result.err;
  }
}

TEST_F(BackupTest, StoresAreForTheirUserAlone) {
  Must({"bake", store_});
  Must({"backup", store_, scratch_ / "b.lut"});
  for (const std::string& path : {store_, scratch_ / "b.lut"}) {
    struct stat status;
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u) << path;
  }
}

// The bytes, sizes and times of everything but the arena, which is a cache.
std::map<std::string, std::pair<std::string, int64_t>> Everything(const std::string& store) {
  std::map<std::string, std::pair<std::string, int64_t>> all;
  for (const auto& entry : fs::recursive_directory_iterator(store)) {
    const std::string path = entry.path();
    if (!entry.is_regular_file() || path.rfind(store + "/arena", 0) == 0) continue;
    all[path] = {ReadWholeFile(path), entry.last_write_time().time_since_epoch().count()};
  }
  return all;
}

TEST_F(BackupTest, ReadingWritesNothing) {
  const auto before = Everything(store_);
  ASSERT_GT(before.size(), 4u);
  const std::string images = SourcePath("models/digits/test-images.idx3.gz");
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"info", store_},
           {"get", store_, "hidden[5]", "--csv"},
           {"log", store_},
           {"diff", store_, "main", "main"},
           {"verify", store_, "--deep"},
           {"explain", store_, "--images", images, "--index", "3"}}) {
    (void)Lutdb(words);
    EXPECT_EQ(Everything(store_), before) << words[0];
  }
}

}  // namespace
}  // namespace lutdb
