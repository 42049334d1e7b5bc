#include "cli/sizes.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace lutdb::cli {
namespace {

TEST(ParseSize, Units) {
  EXPECT_EQ(*ParseSize("0"), 0u);
  EXPECT_EQ(*ParseSize("17"), 17u);
  EXPECT_EQ(*ParseSize("17B"), 17u);
  EXPECT_EQ(*ParseSize("1KiB"), 1024u);
  EXPECT_EQ(*ParseSize("1k"), 1024u);
  EXPECT_EQ(*ParseSize("3 MiB"), 3u << 20);
  EXPECT_EQ(*ParseSize("3M"), 3u << 20);
  EXPECT_EQ(*ParseSize("2gib"), uint64_t{2} << 30);
  EXPECT_EQ(*ParseSize("1T"), uint64_t{1} << 40);
  EXPECT_EQ(*ParseSize("18446744073709551615"), ~uint64_t{0});
  EXPECT_EQ(*ParseSize("16777215TiB"), uint64_t{16777215} << 40);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "GiB", "-1", "1.5GiB", "1KB", "1MB", "1 GB", "1  KiB", "0x10", "1e3", "1KiBs", "off",
        "1PiB", "18446744073709551616", "16777216TiB", "99999999999999999999999KiB", " 1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseSize(text).status())) << text;
  }
}

TEST(Human, BytesCountsAndSeconds) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1024), "1.00 KiB");
  EXPECT_EQ(HumanBytes(1023.9 * 1024), "1.00 MiB");
  EXPECT_EQ(HumanBytes(12.34 * 1024 * 1024), "12.3 MiB");
  EXPECT_EQ(HumanBytes(1.6e12), "1.46 TiB");
  EXPECT_EQ(HumanBytes(1.8446744073709552e19), "16.0 EiB");
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(1234567), "1,234,567");
  EXPECT_EQ(HumanSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(HumanSeconds(1.5), "1.50 s");
  EXPECT_EQ(HumanSeconds(65), "1 min 05 s");
  EXPECT_EQ(HumanSeconds(7800), "2 h 10 min");
}

}  // namespace
}  // namespace lutdb::cli
