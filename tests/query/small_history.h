// A small store opened for its history, or for reading at a ref.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "tests/query/small_store.h"

namespace lutdb::testing {

inline std::unique_ptr<History> Writing(const SmallStore& store) {
  auto history = History::Open(store.path(), {.write = true});
  EXPECT_TRUE(history.ok()) << Message(history.status());
  return *std::move(history);
}

inline std::unique_ptr<Store> At(const SmallStore& store, const std::string& ref) {
  OpenStoreOptions options;
  options.at = ref;
  auto opened = Store::Open(store.path(), options);
  EXPECT_TRUE(opened.ok()) << Message(opened.status());
  return *std::move(opened);
}

}  // namespace lutdb::testing
