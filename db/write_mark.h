// How many writes of a database were acknowledged, noted beside it.
//
// RocksDB recovers its log up to the first record that is not whole, which is right after a power
// cut and wrong after damage: a spoilt bit in the middle would silently take back every commit
// behind it. The note, made after each synced write, tells the two apart. It is never synced
// itself: after a power cut it may be older than the database, which says nothing, and is never
// newer.
#pragma once

#include <cstdint>
#include <string>

namespace lutdb::db {

// The sequence number of the last acknowledged write; 0 when there is no whole note.
uint64_t ReadWriteMark(const std::string& database);

// Keeps the note of one database. Not thread-safe.
class WriteMark {
 public:
  explicit WriteMark(const std::string& database);
  ~WriteMark();
  WriteMark(const WriteMark&) = delete;
  // Where it cannot be written, damage is noticed later or not at all; nothing else depends on it.
  void Note(uint64_t sequence);

 private:
  int descriptor_ = -1;
};

std::string WriteMarkPath(const std::string& database);

}  // namespace lutdb::db
