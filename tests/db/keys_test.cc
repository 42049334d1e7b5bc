#include "db/keys.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "db/store_files.h"

namespace lutdb::db {
namespace {

TEST(Keys, AreTheDocumentedBytes) {
  using std::string_literals::operator""s;
  EXPECT_EQ(TileKey(1, 0x0203, 0x0405), "\0\0\0\1\0\0\2\3\4\5"s);
  EXPECT_EQ(RowKey(1, 2, 0x0304, 5), "\0\0\0\1\0\0\0\2\3\4\0\5"s);
  EXPECT_EQ(WeightsKey(0x01020304, 7), "\1\2\3\4\0\0\0\7"s);
  EXPECT_EQ(StepsKey(12), "steps/12");
}

TEST(Keys, OrderIsNumeric) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto number = [&] { return static_cast<uint32_t>(random() >> (random() % 32)); };
    const auto small = [&] { return static_cast<uint16_t>(random() >> (16 + random() % 16)); };
    const std::tuple a(number(), number(), small(), small());
    const std::tuple b(number() % 2 == 0 ? std::get<0>(a) : number(), number(), small(), small());
    const std::string key_a = std::apply(RowKey, a), key_b = std::apply(RowKey, b);
    EXPECT_EQ(key_a < key_b, a < b);
    EXPECT_LT(key_a, TableEnd(std::get<0>(a)));
    EXPECT_LE(TableEnd(std::get<0>(a)), TileKey(std::get<0>(a) + 1, 0, 0));
  }
}

TEST(StoreFiles, LieInsideTheStore) {
  EXPECT_EQ(RocksPath("a/m.lut"), "a/m.lut/db");
  EXPECT_EQ(PartialPath("a/m.lut/"), "a/m.lut.partial");
  EXPECT_EQ(JournalPath(PartialPath("m.lut")), "m.lut.partial/journal");
}

}  // namespace
}  // namespace lutdb::db
