// How the entries of one commit differ from the records of the base generation, ready for reading:
// an immutable overlay. A new commit makes a new overlay that shares everything it did not touch,
// so that readers keep the one they hold and the next batch takes the newer one at once.
//
// Goals: chunks without edits cost a reader nothing; memory follows the number of edited entries;
// sums stay exact (an edited entry is the base entry plus a difference, and integers add in any
// order). Rejected: edited copies of rows in the arena (one per branch and commit, stale on every
// commit).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/aligned_buffer.h"
#include "coding/levels.h"
#include "query/history_records.h"

namespace lutdb {

struct EntryEditValue {
  uint32_t neuron = 0;
  int16_t base = 0;
  int16_t value = 0;
};

// The edited entries of one code of one chunk, ascending by neuron.
class RowEdits {
 public:
  explicit RowEdits(std::vector<EntryEditValue> entries) : entries_(std::move(entries)) {}
  ~RowEdits();
  RowEdits(const RowEdits&) = delete;

  absl::Span<const EntryEditValue> entries() const { return entries_; }
  const EntryEditValue* Find(uint32_t neuron) const;  // null: not edited
  // Those of the neurons of one block of 64, without a look at the others.
  absl::Span<const EntryEditValue> InBlock(uint32_t block) const;

  // The whole row with its edits, made on first use and kept: for rows in which so many entries are
  // edited that adding differences one by one would be slower than adding a row. base:
  // geometry.neurons() entries (null: all zero), each to be negated when `negated`; always that of
  // this row. The result is 64-byte aligned and padded. Thread-safe.
  const void* Whole(const TableGeometry& geometry, const void* base, bool negated) const;
  bool dense(uint32_t neurons) const { return entries_.size() * 8 >= neurons; }

 private:
  const std::vector<EntryEditValue> entries_;
  mutable std::atomic<uint8_t*> whole_{nullptr};  // of MakeAligned
};

// The edited codes of one chunk, ascending.
struct ChunkEdits {
  struct Row {
    uint32_t code = 0;
    std::shared_ptr<const RowEdits> edits;
  };
  std::vector<Row> rows;
  const RowEdits* Find(uint32_t code) const;  // null: as in the base
  std::vector<uint32_t> Blocks() const;       // of 64 neurons, with an edited entry; ascending
};

// The edited chunks of one table, in pages of neighbours: a new commit copies the pages it touches.
class TableEdits {
 public:
  const ChunkEdits* Find(uint32_t chunk) const;  // null: as in the base
  // Calls visit(chunk, edits) for the edited chunks of [begin, end), ascending.
  template <typename Visit>
  void ForEach(uint32_t begin, uint32_t end, const Visit& visit) const {
    for (size_t p = begin / kPageChunks; p < pages_.size() && p * kPageChunks < end; ++p) {
      if (pages_[p] == nullptr) continue;
      for (const Item& item : *pages_[p]) {
        if (item.chunk >= begin && item.chunk < end) visit(item.chunk, *item.edits);
      }
    }
  }
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    ForEach(0, UINT32_MAX, visit);
  }

 private:
  friend class Edits;
  static constexpr uint32_t kPageChunks = 64;
  struct Item {
    uint32_t chunk = 0;
    std::shared_ptr<const ChunkEdits> edits;
  };
  using Page = std::vector<Item>;  // ascending
  static Page::const_iterator FindIn(const Page& page, uint32_t chunk);

  void Put(uint32_t chunk, ChunkEdits edits);  // no rows: the chunk is as in the base
  bool empty() const { return chunks_ == 0; }

  std::vector<std::shared_ptr<const Page>> pages_;  // null: no chunk of it is edited
  uint32_t chunks_ = 0;
};

class Edits {
 public:
  const std::string& commit() const { return commit_; }  // "": the build
  // Null: the table is as in the base.
  const TableEdits* table(uint32_t table) const {
    return table < tables_.size() ? tables_[table].get() : nullptr;
  }
  bool empty() const { return entries_ == 0; }
  uint64_t entries() const { return entries_; }  // that differ from the base

  // This overlay, then `changes`, at `commit`.
  std::shared_ptr<const Edits> With(const TileChanges& changes, std::string commit,
                                    const std::vector<TableGeometry>& geometries) const;

  // The value of an entry whose base value is given.
  int16_t Value(uint32_t table, uint32_t neuron, uint32_t chunk, uint32_t code, int16_t base) const;
  // Everything that differs from the base.
  TileChanges Changes(const std::vector<TableGeometry>& geometries) const;

 private:
  std::string commit_;
  uint64_t entries_ = 0;
  std::vector<std::shared_ptr<const TableEdits>> tables_;
};

}  // namespace lutdb
