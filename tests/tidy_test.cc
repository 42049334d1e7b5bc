// The house rules, on every file that git tracks or would track. The scanner itself is tried on
// small bad examples first, so that a rule that finds nothing is known to be able to find
// something.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/source_scan.h"

namespace lutdb::tidy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string& Root() {
  static const std::string root = LUTDB_SOURCE_DIR;
  return root;
}

// Paths from the root, as git lists them: tracked files and new ones that are not ignored.
std::vector<std::string> RepositoryPaths() {
  std::vector<std::string> paths;
  const std::string command =
      "git -C '" + Root() + "' ls-files --cached --others --exclude-standard";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return paths;
  std::string line;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    if (std::filesystem::is_regular_file(Root() + "/" + line)) paths.push_back(line);
    line.clear();
  }
  return pclose(pipe) == 0 ? paths : std::vector<std::string>();
}

bool IsText(const std::string& path) {
  for (const char* end : {".cc", ".h", ".txt", ".cmake", ".in", ".md", ".py", ".json", ".fbs"}) {
    if (std::filesystem::path(path).extension() == end) return true;
  }
  return path == "dev" || path == ".ci/run";
}

std::vector<SourceFile> RepositoryTexts() {
  std::vector<SourceFile> files;
  for (const std::string& path : RepositoryPaths()) {
    if (!IsText(path)) continue;
    std::ifstream stream(Root() + "/" + path, std::ios::binary);
    files.push_back({path, {std::istreambuf_iterator<char>(stream), {}}});
  }
  return files;
}

SourceFile WithFunctionOf(size_t lines) {
  SourceFile file{"base/x.cc", "namespace lutdb {\n\nint F(int a,\n      int b) {\n"};
  for (size_t i = 0; i < lines - 3; ++i) file.text += "  if (a) { b = \"}{\"[a]; }  // {\n";
  file.text += "}\n\n}  // namespace lutdb\n";
  return file;
}

TEST(Scanner, IncludesGoDownTheLayersOnly) {
  const auto check = [](const char* path, const char* line) {
    return CheckIncludes({path, line}).size();
  };
  EXPECT_EQ(check("query/x.cc", "#include \"db/rocks.h\"\n"), 0u);
  EXPECT_EQ(check("query/x.cc", "#include \"ingest/journal.h\"\n"), 1u);
  EXPECT_EQ(check("ingest/x.cc", "#include \"query/store_reader.h\"\n"), 1u);
  EXPECT_EQ(check("base/x.h", "#include \"coding/levels.h\"\n"), 1u);
  EXPECT_EQ(check("db/x.h", "#include \"coding/levels.h\"\n"), 1u);
  EXPECT_EQ(check("engine/kernels/x.cc", "#include \"engine/plan.h\"\n"), 1u);
  EXPECT_EQ(check("engine/kernels/x.cc", "#include \"query/row_source.h\"\n"), 1u);
  EXPECT_EQ(check("engine/x.cc", "#include \"engine/kernels/kernels.h\"\n"), 0u);
  EXPECT_EQ(check("engine/x.cc", "#include \"cli/npy.h\"\n"), 1u);
  EXPECT_EQ(check("cli/x.cc", "#include \"ingest/journal.h\"\n"), 0u);
  EXPECT_EQ(check("tests/cli/x.cc", "#include \"cli/npy.h\"\n"), 0u);
}

TEST(Scanner, RocksDbAndPublicHeaders) {
  const auto check = [](const char* path, const char* line) {
    return CheckIncludes({path, line}).size();
  };
  EXPECT_EQ(check("db/rocks.cc", "#include <rocksdb/db.h>\n"), 0u);
  EXPECT_EQ(check("db/rocks.cc", "#include \"rocksdb/db.h\"\n"), 0u);
  EXPECT_EQ(check("query/x.cc", "#include <rocksdb/db.h>\n"), 1u);
  EXPECT_EQ(check("tests/db/x.cc", "#include \"rocksdb/db.h\"\n"), 1u);
  EXPECT_EQ(check("include/lutdb/x.h", "#include <vector>\n#include \"absl/types/span.h\"\n"), 0u);
  EXPECT_EQ(check("include/lutdb/x.h", "#include \"lutdb/types.h\"\n"), 0u);
  EXPECT_EQ(check("include/lutdb/x.h", "#include <fmt/format.h>\n"), 1u);
  EXPECT_GE(check("include/lutdb/x.h", "#include \"base/status.h\"\n"), 1u);
}

TEST(Scanner, LongFunctionsFilesAndLines) {
  EXPECT_THAT(CheckText(WithFunctionOf(70)), IsEmpty());
  EXPECT_THAT(CheckText(WithFunctionOf(71)),
              ElementsAre(HasSubstr("base/x.cc:3: a function of 71")));
  // The methods of a class are functions, the class is none.
  SourceFile type{"base/x.h", "class C : public B<int> {\n public:\n"};
  for (int i = 0; i < 100; ++i) type.text += "  int F() const { return 1; }\n";
  type.text += "};\n";
  EXPECT_THAT(CheckText(type), IsEmpty());
  SourceFile method = WithFunctionOf(80);
  method.text = "struct S {\n" + method.text.substr(method.text.find("int F")) + "};\n";
  EXPECT_THAT(CheckText(method), ElementsAre(HasSubstr("base/x.cc:2: a function of 80")));
  // A list of data is no function.
  SourceFile data{"base/x.cc", "constexpr int kData[] = {\n"};
  for (int i = 0; i < 90; ++i) data.text += "    1,\n";
  data.text += "};\n";
  EXPECT_THAT(CheckText(data), IsEmpty());

  SourceFile longest{"base/x.cc", ""};
  for (int i = 0; i < 600; ++i) longest.text += "\n";
  EXPECT_THAT(CheckText(longest), IsEmpty());
  longest.text += "\n";
  EXPECT_THAT(CheckText(longest), ElementsAre(HasSubstr("600 lines")));
  EXPECT_THAT(CheckText({"base/x.h", "// " + std::string(97, 'a') + "\n"}), IsEmpty());
  EXPECT_THAT(CheckText({"base/x.h", "// " + std::string(98, 'a') + "\n"}),
              ElementsAre(HasSubstr("100 columns")));
}

TEST(Scanner, UnfinishedWorkAndMachinePaths) {
  EXPECT_THAT(CheckText({"a.py", std::string("# TO") + "DO: later\n"}),
              ElementsAre(HasSubstr("a.py:1")));
  EXPECT_THAT(CheckText({"a.md", std::string("x\n/ho") + "me/me/x\n"}),
              ElementsAre(HasSubstr("a.md:2")));
  EXPECT_THAT(CheckText({"a.md", "nothing wrong\n"}), IsEmpty());
}

TEST(Scanner, VagueNames) {
  EXPECT_EQ(CheckName("base/util.h").size(), 1u);
  EXPECT_EQ(CheckName("tests/db/test_helpers.h").size(), 1u);
  EXPECT_EQ(CheckName("base/common_types.h").size(), 1u);
  EXPECT_EQ(CheckName("base/file.h").size(), 0u);
  EXPECT_EQ(CheckName("base/utility_rate.h").size(), 0u);
}

TEST(Scanner, SourcesOutsideEveryTarget) {
  const SourceFile list{"db/CMakeLists.txt", "lutdb_library(lutdb_db SOURCES keys.cc sub/a.cc)\n"};
  EXPECT_THAT(CheckRegistered({list, {"db/keys.cc", ""}, {"db/sub/a.cc", ""}}), IsEmpty());
  EXPECT_THAT(CheckRegistered({list, {"db/rocks.cc", ""}}), ElementsAre(HasSubstr("db/rocks.cc")));
  EXPECT_THAT(CheckRegistered({list, {"query/keys.cc", ""}}), ElementsAre(HasSubstr("query")));
  const SourceFile loop{
      "CMakeLists.txt",
      "foreach(name a b)\n  lutdb_test(${name}_test SOURCES x/${name}_test.cc)\n"};
  EXPECT_THAT(CheckRegistered({loop, {"x/a_test.cc", ""}, {"x/b_test.cc", ""}}), IsEmpty());
  EXPECT_THAT(CheckRegistered({loop, {"x/c_test.cc", ""}}), ElementsAre(HasSubstr("c_test")));
}

TEST(Repository, FollowsTheRules) {
  const std::vector<SourceFile> files = RepositoryTexts();
  if (files.empty() && !std::filesystem::exists(Root() + "/.git")) {
    GTEST_SKIP() << "the sources are not a git checkout";
  }
  ASSERT_GT(files.size(), 50u) << "git does not list the repository's files";
  Problems problems = CheckRegistered(files);
  for (const SourceFile& file : files) {
    for (const Problems& found : {CheckIncludes(file), CheckText(file), CheckName(file.path)}) {
      problems.insert(problems.end(), found.begin(), found.end());
    }
  }
  EXPECT_THAT(problems, IsEmpty());
}

TEST(Repository, HoldsNoLargeFile) {
  for (const std::string& path : RepositoryPaths()) {
    EXPECT_LE(std::filesystem::file_size(Root() + "/" + path), size_t{1} << 20) << path;
  }
}

TEST(Repository, EveryTestIsRegistered) {
  // CheckRegistered sees that every *_test.cc is in some CMakeLists.txt; here: in one of tests/, by
  // lutdb_test, which is what makes it a CTest entry.
  for (const SourceFile& file : RepositoryTexts()) {
    if (file.path.find("_test.cc") == std::string::npos) continue;
    EXPECT_EQ(file.path.rfind("tests/", 0), 0u) << file.path << " belongs in tests/";
  }
}

}  // namespace
}  // namespace lutdb::tidy
