// A small database with records in every base family, and what it should hold.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "db/bulk.h"
#include "db/keys.h"
#include "db/rocks.h"

namespace lutdb::db {

using Records = std::map<std::string, std::string>;

inline std::string RandomBytes(std::mt19937_64& random, size_t bytes) {
  std::string value(bytes, '\0');
  for (char& one : value) one = static_cast<char>(random());
  return value;
}

// Writes records as one SST file of a family.
inline void WriteSst(Family family, const std::string& path, const Records& records) {
  auto writer = SstWriter::Create(family, path);
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (const auto& [key, value] : records) {
    const absl::Status added = (*writer)->Add(key, value);
    ASSERT_TRUE(added.ok()) << added;
  }
  const auto info = (*writer)->Finish();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->entries, records.size());
  EXPECT_EQ(info->first_key, records.begin()->first);
  EXPECT_EQ(info->last_key, records.rbegin()->first);
  EXPECT_EQ(info->file_bytes, std::filesystem::file_size(path));
}

// `count` records of one table, with keys two apart so that some between are missing.
inline Records MakeRecords(Family family, uint32_t table, uint32_t count, size_t value_bytes,
                           uint64_t seed) {
  std::mt19937_64 random(seed);
  Records records;
  for (uint32_t i = 0; i < count; ++i) {
    const auto place = static_cast<uint16_t>(2 * i);
    const std::string key = family == Family::kTile  ? TileKey(table, i / 4, place)
                            : family == Family::kRow ? RowKey(table, i / 256, place, 1)
                                                     : WeightsKey(table, 2 * i);
    records[key] = RandomBytes(random, value_bytes);
  }
  return records;
}

// Creates a database at `path` and ingests two files (tables 0 and 1) into each base family.
inline void FillDatabase(const std::string& path, std::map<Family, Records>* filled) {
  ASSERT_TRUE(MakeDirectory(path).ok());
  auto created = Rocks::Create(path, {});
  ASSERT_TRUE(created.ok()) << created.status();
  Rocks& rocks = **created;
  for (const Family family : {Family::kTile, Family::kRow, Family::kWeights}) {
    std::vector<std::string> files;
    for (const uint32_t table : {0u, 1u}) {
      const Records records = MakeRecords(family, table, 60, 700, table + 10);
      files.push_back(path + "." + std::to_string(table));
      WriteSst(family, files.back(), records);
      (*filled)[family].insert(records.begin(), records.end());
    }
    const absl::Status ingested = rocks.Ingest(family, files);
    ASSERT_TRUE(ingested.ok()) << ingested;
  }
  const std::vector<Write> writes = {{Family::kDefault, "graph", "of ops"},
                                     {Family::kHistory, "commit", "first"}};
  ASSERT_TRUE(rocks.Apply(writes).ok());
  (*filled)[Family::kDefault] = {{"graph", "of ops"}};
  (*filled)[Family::kHistory] = {{"commit", "first"}};
  ASSERT_TRUE(rocks.Flush().ok());
}

}  // namespace lutdb::db
