#include <string>

#include "engine/kernels/kernels.h"
#include "gmock/gmock.h"
#include "tests/kernels/isa_cases.h"

namespace lutdb::kernels {
namespace {

TEST(Dispatch, BestIsChosenAndScalarIsAlwaysThere) {
  const std::vector<std::string> isas = Isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), IsaName());
  EXPECT_EQ(isas.back(), "scalar");
}

TEST(Dispatch, EveryListedSetCanBeForced) {
  const std::string before = IsaName();
  for (const std::string& isa : Isas()) {
    EXPECT_TRUE(ForceIsa(isa.c_str()));
    EXPECT_EQ(isa, IsaName());
  }
  EXPECT_TRUE(ForceIsa(before.c_str()));
}

TEST(Dispatch, UnknownNamesChangeNothing) {
  const std::string before = IsaName();
  for (const char* name : {"", "AVX2", "avx9", "neon", "scalar "}) {
    EXPECT_FALSE(ForceIsa(name)) << name;
    EXPECT_EQ(before, IsaName());
  }
}

}  // namespace
}  // namespace lutdb::kernels
