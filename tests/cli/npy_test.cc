#include "base/npy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "base/status.h"
#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb::cli {
namespace {

// A .npy of format 1.0 with this header text and data.
std::string Npy(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 0xff) +
         static_cast<char>(header.size() >> 8) + header + data;
}
std::string Header(const std::string& descr, const std::string& shape,
                   const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}
template <typename T>
std::string Bytes(std::vector<T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(Npy, EntriesAsNumPyWritesThem) {
  ScratchDirectory scratch;
  const std::vector<int16_t> values = {1, -2, 3, -4, 5, 127};
  ASSERT_TRUE(WriteNpy(scratch / "x.npy", {1, 2, 3}, values, false).ok());
  const std::string bytes = ReadWholeFile(scratch / "x.npy");
  // The data begins at a multiple of 64 and ends the file; the header ends its line there.
  EXPECT_EQ(bytes.size(), 128u + 12);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_EQ(bytes.substr(10, 61), "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2, 3, )");
  EXPECT_EQ(bytes.substr(128), Bytes(values));
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.npy.tmp"));

  ASSERT_TRUE(WriteNpy(scratch / "y.npy", {6}, values, true).ok());
  EXPECT_EQ(ReadWholeFile(scratch / "y.npy").substr(128), Bytes<int8_t>({1, -2, 3, -4, 5, 127}));
}

TEST(Npy, FloatsComeBack) {
  ScratchDirectory scratch;
  const std::vector<float> values = {0.5f, -1.25f, 3e30f, 1e-30f};
  ASSERT_TRUE(WriteNpy(scratch / "x.npy", {2, 2}, values).ok());
  const auto array = ReadNpy(scratch / "x.npy");
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->values, values);
  EXPECT_EQ(array->rows(), 2u);
  EXPECT_EQ(array->row_width(), 2u);
  EXPECT_FALSE(array->integers);
}

TEST(Npy, ElementTypes) {
  const auto values = [](const std::string& descr, const std::string& data) {
    const auto array = ParseNpy(Npy(Header(descr, "(2,)"), data), "x");
    EXPECT_TRUE(array.ok()) << array.status();
    return array.ok() ? array->values : std::vector<float>();
  };
  const std::vector<float> expected = {1, 200};
  EXPECT_EQ(values("<f4", Bytes<float>({1, 200})), expected);
  EXPECT_EQ(values("<f8", Bytes<double>({1, 200})), expected);
  EXPECT_EQ(values("|u1", Bytes<uint8_t>({1, 200})), expected);
  EXPECT_EQ(values("<u2", Bytes<uint16_t>({1, 200})), expected);
  EXPECT_EQ(values("<i2", Bytes<int16_t>({1, 200})), expected);
  EXPECT_EQ(values("<i4", Bytes<int32_t>({1, 200})), expected);
  EXPECT_EQ(values("<u4", Bytes<uint32_t>({1, 200})), expected);
  EXPECT_EQ(values("<i8", Bytes<int64_t>({1, 200})), expected);
  EXPECT_EQ(values("|i1", Bytes<int8_t>({1, -2})), (std::vector<float>{1, -2}));
}

TEST(Npy, RowsAndWidths) {
  const auto shape = [](const std::string& text, size_t count) {
    return *ParseNpy(Npy(Header("|u1", text), std::string(count, 'a')), "x");
  };
  EXPECT_EQ(shape("(6,)", 6).rows(), 1u);
  EXPECT_EQ(shape("(6,)", 6).row_width(), 6u);
  EXPECT_EQ(shape("(3, 2, 2)", 12).rows(), 3u);
  EXPECT_EQ(shape("(3, 2, 2)", 12).row_width(), 4u);
  EXPECT_EQ(shape("()", 1).rows(), 1u);
  EXPECT_EQ(shape("(0, 4)", 0).rows(), 0u);
}

TEST(Npy, RefusesWhatItCannotRead) {
  const auto code = [](const std::string& bytes) { return ParseNpy(bytes, "x").status().code(); };
  const std::string four(4, 'a');
  EXPECT_EQ(code(Npy(Header("<c8", "(1,)"), "aaaaaaaa")), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code(Npy(Header(">f4", "(1,)"), four)), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code(Npy(Header("|O", "(1,)"), four)), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code(Npy(Header("<f4", "(1, 1)", "True"), four)), absl::StatusCode::kUnimplemented);
  std::string later = Npy(Header("<f4", "(1,)"), four);
  later[6] = 4;
  EXPECT_EQ(code(later), absl::StatusCode::kUnimplemented);
}

TEST(Npy, RefusesDamage) {
  const std::string four(4, 'a');
  const std::string whole = Npy(Header("<f4", "(2, 3)"), std::string(24, 'a'));
  ASSERT_TRUE(ParseNpy(whole, "x").ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(ParseNpy(whole.substr(0, size), "x").status())) << size;
  }
  for (const std::string& header : std::vector<std::string>{
           Header("<f4", "(18446744073709551615, 18446744073709551615)"), Header("<f4", "(-1,)"),
           Header("<f4", "(1,"), Header("<f4", "(1,), 'shape': (1,)"), Header("<f4", "1"),
           Header("<f4", "(99999999999999999999,)"), Header("<f4", "(4611686018427387905,)"),
           Header("<f4", "(1,)", "true"), std::string("{}"), std::string(),
           std::string("{'descr': 'x"), "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'other': 1}"}) {
    EXPECT_TRUE(absl::IsDataLoss(ParseNpy(Npy(header, four), "x").status())) << header;
  }
  std::string many = "(";
  for (int i = 0; i < 100; ++i) many += "1,";
  EXPECT_FALSE(ParseNpy(Npy(Header("<f4", many + ")"), four), "x").ok());
}

TEST(Npy, ErrorsNameThePath) {
  EXPECT_TRUE(absl::IsNotFound(ReadNpy("/nonexistent/x.npy").status()));
  ScratchDirectory scratch;
  const absl::Status status = WriteNpy(scratch / "no/such/x.npy", {1}, {1.0f});
  EXPECT_NE(Message(status).find("no/such/x.npy"), std::string::npos) << status;
}

}  // namespace
}  // namespace lutdb::cli
