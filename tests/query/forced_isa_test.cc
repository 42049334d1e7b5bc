#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/status.h"
#include "lutdb/store.h"
#include "tests/query/small_store.h"

namespace lutdb {
namespace {

// A program of its own: the instruction set is chosen once per process.
TEST(ForcedIsa, UnknownOneIsRefusedByName) {
  const testing::SmallStore small("isa", {testing::SpecOf({})});
  ::setenv("LUTDB_FORCE_ISA", "abacus", 1);
  const auto store = Store::Open(small.path(), {});
  EXPECT_TRUE(absl::IsInvalidArgument(store.status()));
  EXPECT_THAT(Message(store.status()), ::testing::HasSubstr("abacus"));
}

}  // namespace
}  // namespace lutdb
