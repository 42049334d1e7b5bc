// Rows from CSV: what is read, and the one line that says why something is not.

#include <gtest/gtest.h>

#include <fstream>

#include "base/status.h"
#include "lutdb/dataset.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

class CsvDataset : public testing::Test {
 protected:
  absl::StatusOr<Dataset> Load(const std::string& text, DataOptions options, DataShape shape) {
    options.csv = scratch_ / "x.csv";
    std::ofstream(options.csv, std::ios::binary) << text;
    return LoadDataset(options, shape);
  }
  std::string Problem(const std::string& text, const DataOptions& options, const DataShape& shape) {
    const auto data = Load(text, options, shape);
    EXPECT_FALSE(data.ok());
    std::string message = Message(data.status());
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    const std::string folder = scratch_ / "";
    if (const size_t at = message.find(folder); at != std::string::npos) {
      message.erase(at, folder.size());
    }
    return message;
  }
  static DataOptions Target(const std::string& name) {
    DataOptions options;
    options.target = name;
    return options;
  }

  ScratchDirectory scratch_;
};

constexpr char kHouses[] = "rooms,people,homes,near,price\n8,4,2,SEA,3.5\n6,3,1,\"IN, LAND\",1e0\n";
const DataShape kTwoReals = {2, 1, {}, {}};

TEST_F(CsvDataset, ReadsNumbersInTheOrderOfTheFileOrAsListed) {
  DataOptions options = Target("price");
  options.columns = {"people", "rooms"};
  const auto listed = Load(kHouses, options, kTwoReals);
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->rows, 2u);
  EXPECT_EQ(listed->inputs, (std::vector<float>{4, 8, 3, 6}));
  EXPECT_EQ(listed->targets, (std::vector<float>{3.5f, 1}));
  EXPECT_EQ(listed->input_names, options.columns);

  const auto rest =
      Load("\xef\xbb\xbf a , b,t\r\n\r\n+1,.5,7\r\n-2e1, 0 ,8", Target("t"), kTwoReals);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->inputs, (std::vector<float>{1, 0.5f, -20, 0}));
  EXPECT_EQ(rest->targets, (std::vector<float>{7, 8}));

  const auto named = Load(kHouses, Target("price"), {2, 1, {"homes", "rooms"}, {}});
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->inputs, (std::vector<float>{2, 8, 1, 6}));
}

TEST_F(CsvDataset, DerivesColumns) {
  DataOptions options = Target("cost");
  options.derive = {"per_home=rooms/homes", "sea=near==SEA",     "land=near==IN, LAND",
                    "twice=per_home*2",     "less=rooms-people", "cost=price*1e-1"};
  options.columns = {"per_home", "sea", "land", "twice", "less"};
  const auto data = Load(kHouses, options, {5, 1, {}, {}});
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->inputs, (std::vector<float>{4, 1, 0, 8, 4, 6, 0, 1, 12, 3}));
  EXPECT_EQ(data->targets, (std::vector<float>{0.35f, 0.1f}));

  // What the target is made of is no input by default.
  DataOptions hidden = Target("u");
  hidden.derive = {"u=t/10", "v=a+b"};
  const auto rest = Load("a,b,t\n1,2,30\n", hidden, {0, 1, {}, {}});
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->input_names, (std::vector<std::string>{"a", "b", "v"}));
}

TEST_F(CsvDataset, LeavesIncompleteRowsOutWhenAsked) {
  const std::string text = "a,b,t,unused\n1,2,3,\n,2,3,4\n1,NaN,3,4\n1,2,?,4\n5,6,7,8\n";
  DataOptions options = Target("t");
  options.columns = {"a", "b"};
  EXPECT_EQ(Problem(text, options, kTwoReals),
            "x.csv, line 3, column 'a': the value is missing; --drop-incomplete leaves such rows "
            "out");
  options.drop_incomplete = true;
  const auto data = Load(text, options, kTwoReals);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->rows, 2u);
  EXPECT_EQ(data->dropped_rows, 3u);
  EXPECT_EQ(data->inputs, (std::vector<float>{1, 2, 5, 6}));
  EXPECT_EQ(Problem("a,b,t\n1,,3\n", options, kTwoReals), "x.csv holds no rows that are complete");
}

TEST_F(CsvDataset, OrdersClasses) {
  const DataShape three = {1, 3, {}, {}};
  const auto labels = [&](const std::string& text, const DataOptions& options,
                          const DataShape& shape) {
    const auto data = Load(text, options, shape);
    EXPECT_TRUE(data.ok()) << data.status();
    return data.ok() ? data->labels : std::vector<uint32_t>{};
  };
  using Labels = std::vector<uint32_t>;
  EXPECT_EQ(labels("x,y\n1,b\n1,c\n1,a\n", Target("y"), three), (Labels{1, 2, 0}));
  EXPECT_EQ(labels("x,y\n1,10\n1,9\n1,-1\n", Target("y"), three), (Labels{2, 1, 0}));
  // Indices stand for themselves, also where some are absent.
  EXPECT_EQ(labels("x,y\n1,2\n1,0\n", Target("y"), three), (Labels{2, 0}));
  EXPECT_EQ(labels("x,y\n1,1\n1,2\n1,3\n", Target("y"), three), (Labels{0, 1, 2}));
  DataOptions listed = Target("y");
  listed.classes = {"c", "b", "a"};
  EXPECT_EQ(labels("x,y\n1,b\n1,c\n", listed, three), (Labels{1, 0}));
  EXPECT_EQ(labels("x,y\n1,b\n1,c\n", Target("y"), {1, 3, {}, {"b", "a", "c"}}), (Labels{0, 2}));
  EXPECT_EQ(labels("x,y\n1,7\n1,0\n", Target("y"), {1, 0, {}, {}}), (Labels{7, 0}));

  EXPECT_EQ(Problem("x,y\n1,1\n1,2\n", Target("y"), three),
            "x.csv has 2 classes (1, 2), but the network tells 3 apart; list them in the order of "
            "its outputs with --classes");
  EXPECT_EQ(Problem("x,y\n1,a\n1,d\n", listed, three),
            "x.csv, line 3, column 'y': 'd' is none of the classes c, b, a");
  listed.classes = {"a", "b"};
  EXPECT_EQ(Problem("x,y\n1,a\n", listed, three),
            "2 classes are listed, but the network tells 3 apart");
  listed.classes = {"a", "b", "a"};
  EXPECT_EQ(Problem("x,y\n1,a\n", listed, three), "the class a is listed twice");
}

TEST_F(CsvDataset, SaysWhatIsWrongAndWhere) {
  const DataOptions t = Target("t");
  EXPECT_EQ(Problem("", t, kTwoReals), "x.csv is empty");
  EXPECT_EQ(Problem("a,b,t\n", t, kTwoReals), "x.csv holds no rows");
  EXPECT_EQ(Problem("a,b,t\n1,2,3\n1,2\n", t, kTwoReals),
            "x.csv, line 3: 2 fields, but the first line has 3");
  EXPECT_EQ(Problem("a,b,t\n1,two,3\n", t, kTwoReals),
            "x.csv, line 2, column 'b': 'two' is not a number");
  EXPECT_EQ(Problem("a,b,t\n1,inf,3\n", t, kTwoReals),
            "x.csv, line 2, column 'b': inf is not a finite 32-bit number");
  EXPECT_EQ(Problem("a,b,t\n1,2,1e39\n", t, kTwoReals),
            "x.csv, line 2, column 't': 1e+39 is not a finite 32-bit number");
  EXPECT_EQ(Problem("a,b,t\n1,2,3\n1,2,\"3\n", t, kTwoReals),
            "x.csv, line 3: a quote is not closed");
  EXPECT_EQ(Problem("a,b,t\n1,\"2\"2,3\n", t, kTwoReals),
            "x.csv, line 2: text follows a closing quote");
  EXPECT_EQ(Problem("a,b,t\n1,\"2\n\n\",3\n1,2\n", t, kTwoReals),
            "x.csv, line 2, column 'b': '2  ' is not a number");
  EXPECT_EQ(Problem("a,a,t\n1,2,3\n", t, kTwoReals), "x.csv names the column 'a' twice");
  EXPECT_EQ(Problem("a,b,t\n1,2,3\n", Target("z"), kTwoReals),
            "x.csv has no column 'z'; it has a, b, t");
  EXPECT_EQ(Problem("a,b,c,t\n1,2,3,4\n", t, kTwoReals),
            "x.csv gives 3 inputs (a, b, c), but the network takes 2; choose them with --columns");
  EXPECT_EQ(Problem("1,2,3\n1,2,3\n", t, kTwoReals),
            "x.csv: the first line names no columns but holds numbers; say --no-header, and the "
            "columns are called c1 to c3");
  DataOptions options = t;
  options.columns = {"a", "t"};
  EXPECT_EQ(Problem("a,b,t\n1,2,3\n", options, kTwoReals), "the target 't' is among the inputs");
  options = t;
  options.derive = {"c=a/b"};
  EXPECT_EQ(Problem("a,b,t\n1,0,3\n", options, {3, 1, {}, {}}),
            "x.csv, line 2, column 'c': inf is not a finite 32-bit number");
  options.derive = {"c=a%b"};
  EXPECT_NE(Problem("a,b,t\n1,0,3\n", options, kTwoReals).find("--derive 'c=a%b'"),
            std::string::npos);
  options.derive = {"a=a/b"};
  EXPECT_NE(Problem("a,b,t\n1,0,3\n", options, kTwoReals).find("a column 'a' already"),
            std::string::npos);
  options = t;
  options.bytes_max = 12;
  EXPECT_EQ(Problem("a,b,t\n1,2,3\n1,2,3\n", options, kTwoReals),
            "x.csv: 2 rows of 2 numbers are more than the 12 bytes data may take");
}

TEST_F(CsvDataset, ReadsFilesWithoutAHeader) {
  DataOptions options = Target("c3");
  options.header = false;
  const auto data = Load("1,2,3\n4,5,6\n", options, kTwoReals);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->inputs, (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(data->targets, (std::vector<float>{3, 6}));
}

}  // namespace
}  // namespace lutdb
