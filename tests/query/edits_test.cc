#include "query/edits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lutdb {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<uint32_t> NeuronsIn(const RowEdits& row, uint32_t block) {
  std::vector<uint32_t> neurons;
  for (const EntryEditValue& entry : row.InBlock(block)) neurons.push_back(entry.neuron);
  return neurons;
}

std::shared_ptr<const RowEdits> RowOf(const std::vector<uint32_t>& neurons) {
  std::vector<EntryEditValue> entries;
  for (const uint32_t neuron : neurons) entries.push_back({.neuron = neuron, .value = 1});
  return std::make_shared<const RowEdits>(std::move(entries));
}

TEST(RowEditsTest, GivesTheEntriesOfABlock) {
  const auto row = RowOf({0, 63, 64, 200, 255, 256});
  EXPECT_THAT(NeuronsIn(*row, 0), ElementsAre(0, 63));
  EXPECT_THAT(NeuronsIn(*row, 1), ElementsAre(64));
  EXPECT_THAT(NeuronsIn(*row, 2), IsEmpty());
  EXPECT_THAT(NeuronsIn(*row, 3), ElementsAre(200, 255));
  EXPECT_THAT(NeuronsIn(*row, 4), ElementsAre(256));
  EXPECT_THAT(NeuronsIn(*row, 5), IsEmpty());
}

TEST(ChunkEditsTest, ListsEachBlockOnce) {
  EXPECT_THAT(ChunkEdits().Blocks(), IsEmpty());
  const ChunkEdits edited = {
      {{0, RowOf({64, 300, 301})}, {3, RowOf({1, 65, 1000})}, {9, RowOf({1, 2, 320, 1000})}}};
  EXPECT_THAT(edited.Blocks(), ElementsAre(0, 1, 4, 5, 15));
}

}  // namespace
}  // namespace lutdb
