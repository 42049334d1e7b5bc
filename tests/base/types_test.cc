#include "lutdb/types.h"

#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"

namespace lutdb {
namespace {

TEST(Names, AreTheWordsOfTheCommandLine) {
  EXPECT_STREQ(Name(EntryType::kI8), "i8");
  EXPECT_STREQ(Name(EntryType::kI16), "i16");
  EXPECT_STREQ(Name(Grid::kSigned), "signed");
  EXPECT_STREQ(Name(Grid::kUnsigned), "unsigned");
  EXPECT_STREQ(Name(Layout::kTile), "tile");
  EXPECT_STREQ(Name(Layout::kRow), "row");
  EXPECT_STREQ(Name(Codec::kSmallest), "smallest");
  EXPECT_STREQ(Name(Codec::kProduct), "product");
  EXPECT_STREQ(Name(Codec::kDelta), "delta");
  EXPECT_STREQ(Name(Codec::kRaw), "raw");
  EXPECT_STREQ(Name(static_cast<Codec>(99)), "unknown");
}

TEST(Hash128, CarriesAndBorrows) {
  Hash128 sum{.low = ~uint64_t{0}, .high = 1};
  sum += Hash128{.low = 2, .high = 3};
  EXPECT_EQ(sum, (Hash128{.low = 1, .high = 5}));
  sum -= Hash128{.low = 2, .high = 3};
  EXPECT_EQ(sum, (Hash128{.low = ~uint64_t{0}, .high = 1}));
  sum -= sum;
  EXPECT_EQ(sum, Hash128{});
}

TEST(Hash128, AddsInAnyOrder) {
  std::mt19937_64 random(1);
  std::vector<Hash128> parts(100);
  for (Hash128& part : parts) part = {.low = random(), .high = random()};
  Hash128 forward, backward;
  for (size_t i = 0; i < parts.size(); ++i) {
    forward += parts[i];
    backward += parts[parts.size() - 1 - i];
  }
  EXPECT_EQ(forward, backward);
  unsigned __int128 expected = 0;
  for (const Hash128& part : parts) {
    expected += (static_cast<unsigned __int128>(part.high) << 64) | part.low;
  }
  EXPECT_EQ(forward.low, static_cast<uint64_t>(expected));
  EXPECT_EQ(forward.high, static_cast<uint64_t>(expected >> 64));
}

TEST(Hash128, IsWrittenHighHalfFirst) {
  EXPECT_EQ((Hash128{.low = 0xab, .high = 1}).Hex(), "000000000000000100000000000000ab");
}

TEST(Bytes, OrderOfBigEndianKeysIsNumeric) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) {
    const auto a = static_cast<uint32_t>(random() >> (random() % 32));
    const auto b = static_cast<uint32_t>(random() >> (random() % 32));
    std::string key_a, key_b;
    AppendBig(a, &key_a);
    AppendBig(b, &key_b);
    EXPECT_EQ(key_a < key_b, a < b);
    EXPECT_EQ(LoadBig<uint32_t>(key_a.data()), a);
  }
}

TEST(Bytes, LittleEndianRoundTripsUnaligned) {
  std::string bytes = "x";
  AppendLittle(uint64_t{0x0123456789abcdef}, &bytes);
  EXPECT_EQ(bytes.substr(1, 2), "\xef\xcd");
  EXPECT_EQ(LoadLittle<uint64_t>(bytes.data() + 1), 0x0123456789abcdefu);
}

}  // namespace
}  // namespace lutdb
