#include "query/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace lutdb {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<uint32_t> Indices(const std::string& index, uint32_t count) {
  auto address = ParseAddress("t[" + index + "]");
  EXPECT_TRUE(address.ok()) << index << ": " << Message(address.status());
  if (!address.ok()) return {};
  EXPECT_EQ(address->axes.size(), 1u);
  auto list = Resolve(address->axes[0], count, "neuron", "t");
  EXPECT_TRUE(list.ok()) << index << ": " << Message(list.status());
  return list.ok() ? *list : std::vector<uint32_t>();
}

TEST(Address, SlicesFollowNumPy) {
  EXPECT_THAT(Indices(":", 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Indices("::", 2), ElementsAre(0, 1));
  EXPECT_THAT(Indices("1:3", 4), ElementsAre(1, 2));
  EXPECT_THAT(Indices("1:", 4), ElementsAre(1, 2, 3));
  EXPECT_THAT(Indices(":2", 4), ElementsAre(0, 1));
  EXPECT_THAT(Indices("-2:", 4), ElementsAre(2, 3));
  EXPECT_THAT(Indices(":-1", 4), ElementsAre(0, 1, 2));
  EXPECT_THAT(Indices("::3", 7), ElementsAre(0, 3, 6));
  EXPECT_THAT(Indices("::-1", 3), ElementsAre(2, 1, 0));
  EXPECT_THAT(Indices("5:1:-2", 8), ElementsAre(5, 3));
  EXPECT_THAT(Indices("1::-1", 8), ElementsAre(1, 0));
  EXPECT_THAT(Indices(":2:-1", 5), ElementsAre(4, 3));
  EXPECT_THAT(Indices("-1:-4:-1", 5), ElementsAre(4, 3, 2));
  EXPECT_THAT(Indices("0:100", 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(Indices("-100:2", 3), ElementsAre(0, 1));
  EXPECT_THAT(Indices("100::-2", 5), ElementsAre(4, 2, 0));
  EXPECT_THAT(Indices("99999999999999999999999:", 5), IsEmpty());
  EXPECT_THAT(Indices(":99999999999999999999999", 2), ElementsAre(0, 1));
  EXPECT_THAT(Indices("::99999999999999999999999", 2), ElementsAre(0));
  EXPECT_THAT(Indices("::-99999999999999999999999", 2), ElementsAre(1));
  EXPECT_THAT(Indices("3:3", 5), IsEmpty());
  EXPECT_THAT(Indices("3:1", 5), IsEmpty());
  EXPECT_THAT(Indices("7:", 5), IsEmpty());
  EXPECT_THAT(Indices("+2", 5), ElementsAre(2));
  EXPECT_THAT(Indices("-5", 5), ElementsAre(0));
  EXPECT_THAT(Indices(" 1 : 4 : 2 ", 5), ElementsAre(1, 3));
}

TEST(Address, IntegersOutOfRangeNameTheRange) {
  for (const char* index : {"5", "-6", "99999999999999999999"}) {
    const auto address = ParseAddress(std::string("layer.0[") + index + "]");
    ASSERT_TRUE(address.ok());
    const auto list = Resolve(address->axes[0], 5, "chunk", "layer.0");
    EXPECT_TRUE(absl::IsOutOfRange(list.status())) << index;
    EXPECT_THAT(Message(list.status()), HasSubstr("chunks 0 to 4"));
  }
}

TEST(Address, NamesAndAxes) {
  const auto bare = ParseAddress(" model.layers.0.self_attn.q_proj ");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->table, "model.layers.0.self_attn.q_proj");
  EXPECT_TRUE(bare->axes.empty());
  const auto full = ParseAddress("lm_head [5, 0:4,:]");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->table, "lm_head");
  ASSERT_EQ(full->axes.size(), 3u);
  EXPECT_FALSE(full->axes[0].is_slice);
  EXPECT_TRUE(full->axes[1].is_slice);
  const auto odd = ParseAddress("a[b]c[1]");
  ASSERT_TRUE(odd.ok());
  EXPECT_EQ(odd->table, "a[b]c");
}

TEST(Address, MalformedSaysWhere) {
  for (const char* text :
       {"",      "  ",      "[1]",        "t[",     "t[]",    "t[1",    "t[1]]",  "t[1,]",
        "t[,1]", "t[1,,2]", "t[1,2,3,4]", "t[a]",   "t[1.5]", "t[1 2]", "t[::0]", "t[1:2:3:4]",
        "t[-]",  "t[--1]",  "t[1]x",      "t[...]", "t]",     "t[1;2]", "t[+]",   "t[0x1]"}) {
    const auto address = ParseAddress(text);
    EXPECT_TRUE(absl::IsInvalidArgument(address.status())) << text;
    EXPECT_THAT(Message(address.status()), HasSubstr("expected")) << text;
    EXPECT_EQ(Message(address.status()).find('\n'), std::string::npos);
  }
  EXPECT_THAT(Message(ParseAddress("t[1,,2]").status()), HasSubstr("character 5"));
}

}  // namespace
}  // namespace lutdb
