#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "base/status.h"
#include "schemas/tokenizer_spec.h"
#include "tests/schemas/random_specs.h"

namespace lutdb {
namespace {

using ::testing::HasSubstr;

TEST(Tokenizer, RoundTrips) {
  EXPECT_EQ(*ParseTokenizer(SerializeTokenizer({})), TokenizerSpec{});
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const TokenizerSpec spec = RandomSpecs(seed).Tokenizer();
    const auto parsed = ParseTokenizer(SerializeTokenizer(spec));
    ASSERT_TRUE(parsed.ok()) << "seed " << seed << ": " << parsed.status();
    EXPECT_EQ(*parsed, spec) << "seed " << seed;
  }
}

TEST(Tokenizer, WhatIsWrongIsSaidInOneLine) {
  const struct {
    const char* says;
    std::function<void(TokenizerSpec&)> change;
    absl::StatusCode code = absl::StatusCode::kDataLoss;
  } wrongs[] = {
      {"scores", [](TokenizerSpec& s) { s.scores.pop_back(); }},
      {"not a number", [](TokenizerSpec& s) { s.scores[0] = NAN; }},
      {"special token", [](TokenizerSpec& s) { s.bos = 1000; }},
      {"special token", [](TokenizerSpec& s) { s.unknown = 1u << 31; }},
      {"newer", [](TokenizerSpec& s) { s.kind = TokenizerKind{9}; },
       absl::StatusCode::kUnimplemented},
  };
  for (const auto& wrong : wrongs) {
    TokenizerSpec spec = RandomSpecs(5).Tokenizer();
    wrong.change(spec);
    const absl::Status status = ParseTokenizer(SerializeTokenizer(spec)).status();
    EXPECT_EQ(status.code(), wrong.code) << wrong.says << ": " << status;
    EXPECT_THAT(Message(status), HasSubstr(wrong.says));
  }
}

}  // namespace
}  // namespace lutdb
