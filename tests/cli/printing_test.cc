// Tables, progress lines and standard output.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "base/status.h"
#include "cli/layer_groups.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/text_table.h"

namespace lutdb::cli {
namespace {

TEST(TextTable, AlignsAndTrims) {
  TextTable table({{"name", TextTable::Align::kLeft}, {"bytes"}, {"µ", TextTable::Align::kLeft}});
  table.Add({"a", "1", "x"});
  table.AddRule();
  table.Add({"longer", "12,345"});
  EXPECT_EQ(table.Format(),
            "name     bytes  µ\n"
            "------  ------  -\n"
            "a            1  x\n"
            "------  ------  -\n"
            "longer  12,345\n");
}

TEST(TextTable, Facts) {
  EXPECT_EQ(FormatFacts({{"a", "1"}, {"long", ""}, {"bb", "2"}}), "a     1\nlong\nbb    2\n");
}

TEST(LayerGroups, NamesThatDifferInOneNumber) {
  const auto groups = GroupLayers({"m.0.q", "m.0.k", "m.1.q", "m.10.q", "head", "m.2.q", "l1"},
                                  {"a", "a", "a", "a", "a", "b", "a"});
  ASSERT_EQ(groups.size(), 5u);
  EXPECT_EQ(groups[0].name, "m.*.q");
  EXPECT_EQ(groups[0].members, (std::vector<size_t>{0, 2, 3}));
  EXPECT_EQ(groups[1].name, "m.0.k");
  EXPECT_EQ(groups[2].name, "head");
  EXPECT_EQ(groups[3].name, "m.2.q");  // of another shape than its namesakes
  EXPECT_EQ(groups[4].name, "l1");
}

TEST(FormatProgress, ShareBytesRateAndTimeLeft) {
  const Progress progress = {"records", 50, 200, uint64_t{4} << 30, uint64_t{1} << 20};
  EXPECT_EQ(FormatProgress(progress, 50, uint64_t{4} << 30, 10),
            "records  [######..................]  25 %  4.00 GiB  410 MiB/s  1.00 MiB stored"
            "  30.0 s left");
}

TEST(FormatProgress, AResumedBuildJudgesBySpeedOfNow) {
  const Progress progress = {"records", 150, 200, 0, 0};
  const std::string line = FormatProgress(progress, 50, 0, 10);
  EXPECT_NE(line.find("75 %"), std::string::npos) << line;
  EXPECT_NE(line.find("10.0 s left"), std::string::npos) << line;
}

TEST(FormatProgress, UnknownTotal) {
  EXPECT_EQ(FormatProgress({"steps", 5, 0, 0, 0}, 5, 0, 1), "steps   ");
  EXPECT_EQ(FormatProgress({"steps", 9, 3, 0, 0}, 0, 0, 0),
            "steps    [########################] 100 %");
}

TEST(Output, AClosedPipeIsNoError) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Output output(ends[1]);
  output.Write("text");
  EXPECT_TRUE(output.Flush().ok());
  EXPECT_TRUE(output.reader_gone());
  EXPECT_FALSE(output.open());
  close(ends[1]);
}

TEST(Output, AFullDiskIs) {
  const int full = open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "there is no /dev/full";
  Output output(full);
  output.Write("text");
  EXPECT_TRUE(absl::IsUnavailable(output.Flush()));
  EXPECT_FALSE(output.reader_gone());
  close(full);
}

TEST(Output, JsonHoldsOnlyUtf8) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Output output(ends[1]);
  output.WriteJson({{"text", "a\xff"}});
  ASSERT_TRUE(output.Flush().ok());
  char text[100];
  const ssize_t count = read(ends[0], text, sizeof(text));
  EXPECT_EQ(std::string(text, static_cast<size_t>(count)), "{\n  \"text\": \"a\xef\xbf\xbd\"\n}\n");
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace lutdb::cli
