#include "coding/planes.h"

#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace lutdb {
namespace {

void ExpectRoundTrip(const std::vector<uint32_t>& values, size_t bytes_max) {
  std::string out;
  AppendPlanes(values.data(), values.size(), 4, &out);
  EXPECT_LE(out.size(), bytes_max);
  std::vector<uint32_t> back(values.size());
  std::string_view body = out;
  ASSERT_TRUE(ReadPlanes(&body, values.size(), 4, back.data()).ok());
  EXPECT_TRUE(body.empty());
  EXPECT_EQ(back, values);
}

TEST(Planes, EachPlaneIsWrittenTheSmallestWay) {
  std::mt19937 random(1);
  std::vector<uint32_t> values(512);
  ExpectRoundTrip(values, 8);  // four constants
  for (uint32_t& value : values) value = random();
  ExpectRoundTrip(values, 4 * 513);  // noise costs a kind byte per plane
  for (uint32_t& value : values) value = random() % 2 == 0 ? 0xffffff00 : 0;
  ExpectRoundTrip(values, 2 + 3 * 67);  // a sign costs a bit per value
  for (uint32_t& value : values) value = random() % 5;
  ExpectRoundTrip(values, 3 * 2 + 300);
  for (uint32_t& value : values) value = random() % 8 == 0 ? random() : 0;
  ExpectRoundTrip(values, 4 * (2 + 64 + 90));  // what is rare costs a byte, its absence a bit
}

TEST(Planes, ASparsePlaneThatIsNotWholeIsRefused) {
  const std::string whole = {4, 7, 0b00000101, 0b00000010, 'a', 'b', 'c'};  // of 10 bytes
  std::string back(10, 0);
  std::string_view body = whole;
  ASSERT_TRUE(ReadPlanes(&body, 10, 1, back.data()).ok());
  EXPECT_EQ(back, "a\7b\7\7\7\7\7\7c");
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    body = std::string_view(whole).substr(0, bytes);
    EXPECT_FALSE(ReadPlanes(&body, 10, 1, back.data()).ok()) << bytes;
  }
  std::string beyond = whole + "d";
  beyond[3] = 0b00000110;  // a tenth place and one behind it
  body = beyond;
  EXPECT_FALSE(ReadPlanes(&body, 10, 1, back.data()).ok());
}

TEST(Planes, EverySizeRoundTrips) {
  std::mt19937 random(2);
  for (size_t count = 0; count < 200; ++count) {
    std::vector<uint32_t> values(count);
    for (uint32_t& value : values) value = random() >> (random() % 32);
    ExpectRoundTrip(values, 4 * (count + 1));
  }
  std::vector<uint32_t> values(100003);
  for (uint32_t& value : values) value = random() >> (random() % 32);
  ExpectRoundTrip(values, 4 * 100004);
}

}  // namespace
}  // namespace lutdb
