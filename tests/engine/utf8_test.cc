#include "engine/utf8.h"

#include <gtest/gtest.h>

namespace lutdb {
namespace {

TEST(Utf8, KnowsWholeCharacters) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(
      IsUtf8("a\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
  for (const char* bad : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xC3(", "\xE2\x82"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(Utf8, JoinerNeverSplitsACharacter) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  Utf8Joiner joiner;
  std::string joined;
  for (const char byte : text) {
    joiner.Push(std::string_view(&byte, 1), &joined);
    EXPECT_TRUE(IsUtf8(joined));
  }
  joiner.Finish(&joined);
  EXPECT_EQ(joined, text);
}

TEST(Utf8, JoinerReplacesWhatIsNoCharacter) {
  Utf8Joiner joiner;
  std::string joined;
  joiner.Push(
      "\xFF"
      "a\xE2\x82",
      &joined);
  EXPECT_EQ(joined,
            "\xEF\xBF\xBD"
            "a");
  joiner.Push("b", &joined);
  EXPECT_EQ(joined,
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD"
            "b");
  joiner.Push("\xF0\x9F", &joined);
  joiner.Finish(&joined);
  EXPECT_EQ(joined,
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

}  // namespace
}  // namespace lutdb
