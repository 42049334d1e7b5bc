#include "query/edits.h"

#include <algorithm>
#include <cstring>

namespace lutdb {
namespace {

struct Change {
  uint32_t chunk = 0;
  uint32_t code = 0;
  uint32_t neuron = 0;
  int16_t before = 0;
  int16_t after = 0;
  auto row() const { return std::tie(chunk, code); }
  bool operator<(const Change& other) const {
    return std::tie(chunk, code, neuron) < std::tie(other.chunk, other.code, other.neuron);
  }
};
using ChangeSpan = absl::Span<const Change>;

// old, then changes (of this row, ascending by neuron); entries back at their base value drop out.
std::vector<EntryEditValue> Merged(const RowEdits* old, ChangeSpan changes) {
  std::vector<EntryEditValue> merged;
  const absl::Span<const EntryEditValue> before =
      old == nullptr ? absl::Span<const EntryEditValue>() : old->entries();
  merged.reserve(before.size() + changes.size());
  auto kept = before.begin();
  for (const Change& change : changes) {
    while (kept != before.end() && kept->neuron < change.neuron) merged.push_back(*kept++);
    EntryEditValue next = {change.neuron, change.before, change.after};
    if (kept != before.end() && kept->neuron == change.neuron) next.base = (kept++)->base;
    if (next.base != next.value) merged.push_back(next);
  }
  merged.insert(merged.end(), kept, before.end());
  return merged;
}

// The part of `changes` (sorted) that begins at `begin` and agrees with its first in `key`.
template <typename Key>
ChangeSpan RunFrom(ChangeSpan changes, size_t begin, Key key) {
  size_t end = begin + 1;
  while (end < changes.size() && key(changes[end]) == key(changes[begin])) ++end;
  return changes.subspan(begin, end - begin);
}

// old, then changes of one chunk. *entries counts the table's edited entries.
ChunkEdits MergedChunk(const ChunkEdits* old, ChangeSpan changes, int64_t* entries) {
  ChunkEdits merged;
  if (old != nullptr) merged = *old;
  for (size_t at = 0; at < changes.size();) {
    const ChangeSpan run = RunFrom(changes, at, [](const Change& c) { return c.code; });
    at += run.size();
    const uint32_t code = run.front().code;
    auto place = std::lower_bound(
        merged.rows.begin(), merged.rows.end(), code,
        [](const ChunkEdits::Row& row, uint32_t wanted) { return row.code < wanted; });
    const bool present = place != merged.rows.end() && place->code == code;
    const RowEdits* before = present ? place->edits.get() : nullptr;
    std::vector<EntryEditValue> row = Merged(before, run);
    *entries += static_cast<int64_t>(row.size()) -
                (before == nullptr ? 0 : static_cast<int64_t>(before->entries().size()));
    if (row.empty()) {
      if (present) merged.rows.erase(place);
      continue;
    }
    auto edits = std::make_shared<const RowEdits>(std::move(row));
    if (present) {
      place->edits = std::move(edits);
    } else {
      merged.rows.insert(place, {code, std::move(edits)});
    }
  }
  return merged;
}

}  // namespace

RowEdits::~RowEdits() { std::free(whole_.load()); }

const EntryEditValue* RowEdits::Find(uint32_t neuron) const {
  const auto it = std::lower_bound(
      entries_.begin(), entries_.end(), neuron,
      [](const EntryEditValue& entry, uint32_t wanted) { return entry.neuron < wanted; });
  return it != entries_.end() && it->neuron == neuron ? &*it : nullptr;
}

absl::Span<const EntryEditValue> RowEdits::InBlock(uint32_t block) const {
  const auto from = [&](uint32_t neuron) {
    return std::lower_bound(
        entries_.begin(), entries_.end(), neuron,
        [](const EntryEditValue& entry, uint32_t wanted) { return entry.neuron < wanted; });
  };
  const auto begin = from(block * kBlockNeurons);
  const auto end = from((block + 1) * kBlockNeurons);
  return absl::MakeConstSpan(entries_).subspan(static_cast<size_t>(begin - entries_.begin()),
                                               static_cast<size_t>(end - begin));
}

namespace {

template <typename Entry>
void FillWhole(absl::Span<const EntryEditValue> edits, uint32_t neurons, const void* base,
               bool negated, void* out) {
  auto* to = static_cast<Entry*>(out);
  const auto* from = static_cast<const Entry*>(base);
  for (uint32_t n = 0; n < neurons; ++n) {
    const Entry value = from == nullptr ? Entry{0} : from[n];
    to[n] = negated ? static_cast<Entry>(-value) : value;
  }
  for (const EntryEditValue& edit : edits) to[edit.neuron] = static_cast<Entry>(edit.value);
}

}  // namespace

const void* RowEdits::Whole(const TableGeometry& geometry, const void* base, bool negated) const {
  if (const uint8_t* made = whole_.load(std::memory_order_acquire)) return made;
  const uint64_t bytes = uint64_t{geometry.neurons()} * EntryBytes(geometry.entry());
  const uint64_t padded = (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  AlignedArray<uint8_t> row = MakeAligned<uint8_t>(padded);
  std::memset(row.get() + bytes, 0, padded - bytes);
  const auto fill = geometry.entry() == EntryType::kI8 ? FillWhole<int8_t> : FillWhole<int16_t>;
  fill(entries_, geometry.neurons(), base, negated, row.get());
  uint8_t* expected = nullptr;
  if (whole_.compare_exchange_strong(expected, row.get(), std::memory_order_acq_rel)) {
    return row.release();
  }
  return expected;  // another thread was first
}

const RowEdits* ChunkEdits::Find(uint32_t code) const {
  const auto it =
      std::lower_bound(rows.begin(), rows.end(), code,
                       [](const Row& row, uint32_t wanted) { return row.code < wanted; });
  return it != rows.end() && it->code == code ? it->edits.get() : nullptr;
}

std::vector<uint32_t> ChunkEdits::Blocks() const {
  std::vector<uint32_t> blocks;
  for (const Row& row : rows) {
    const auto known = static_cast<ptrdiff_t>(blocks.size());
    for (const EntryEditValue& entry : row.edits->entries()) {
      const uint32_t block = entry.neuron / kBlockNeurons;
      if (blocks.size() > static_cast<size_t>(known) && blocks.back() == block) continue;
      blocks.push_back(block);
    }
    std::inplace_merge(blocks.begin(), blocks.begin() + known, blocks.end());
    blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
  }
  return blocks;
}

TableEdits::Page::const_iterator TableEdits::FindIn(const Page& page, uint32_t chunk) {
  return std::lower_bound(page.begin(), page.end(), chunk,
                          [](const Item& item, uint32_t wanted) { return item.chunk < wanted; });
}

const ChunkEdits* TableEdits::Find(uint32_t chunk) const {
  const size_t p = chunk / kPageChunks;
  if (p >= pages_.size() || pages_[p] == nullptr) return nullptr;
  const auto it = FindIn(*pages_[p], chunk);
  return it == pages_[p]->end() || it->chunk != chunk ? nullptr : it->edits.get();
}

std::shared_ptr<const Edits> Edits::With(const TileChanges& changes, std::string commit,
                                         const std::vector<TableGeometry>& geometries) const {
  auto next = std::make_shared<Edits>(*this);
  next->commit_ = std::move(commit);
  next->tables_.resize(geometries.size());
  int64_t entries = static_cast<int64_t>(entries_);
  std::vector<Change> group;  // of one group of chunks, across its blocks of neurons
  for (auto tile = changes.begin(); tile != changes.end();) {
    const uint32_t table = tile->first.table;
    auto merged = tables_.size() > table && tables_[table] != nullptr
                      ? std::make_shared<TableEdits>(*tables_[table])
                      : std::make_shared<TableEdits>();
    while (tile != changes.end() && tile->first.table == table) {
      group.clear();
      const uint32_t group_number = tile->first.group;
      for (;
           tile != changes.end() && tile->first.table == table && tile->first.group == group_number;
           ++tile) {
        for (const EntryDelta& delta : tile->second) {
          const DeltaPlace place = PlaceOf(geometries[table], tile->first, delta.index);
          group.push_back({place.chunk, place.code, place.neuron, delta.before, delta.after});
        }
      }
      std::sort(group.begin(), group.end());
      for (size_t at = 0; at < group.size();) {
        const ChangeSpan run = RunFrom(group, at, [](const Change& c) { return c.chunk; });
        at += run.size();
        merged->Put(run.front().chunk, MergedChunk(merged->Find(run.front().chunk), run, &entries));
      }
    }
    next->tables_[table] = merged->empty() ? nullptr : std::move(merged);
  }
  next->entries_ = static_cast<uint64_t>(entries);
  return next;
}

void TableEdits::Put(uint32_t chunk, ChunkEdits edits) {
  const size_t p = chunk / kPageChunks;
  if (pages_.size() <= p) pages_.resize(p + 1);
  Page page = pages_[p] == nullptr ? Page() : *pages_[p];
  auto at = page.begin() + (FindIn(page, chunk) - page.cbegin());
  const bool present = at != page.end() && at->chunk == chunk;
  if (edits.rows.empty()) {
    if (!present) return;
    page.erase(at);
    --chunks_;
  } else if (auto shared = std::make_shared<const ChunkEdits>(std::move(edits)); present) {
    at->edits = std::move(shared);
  } else {
    page.insert(at, {chunk, std::move(shared)});
    ++chunks_;
  }
  pages_[p] = page.empty() ? nullptr : std::make_shared<const Page>(std::move(page));
}

int16_t Edits::Value(uint32_t table, uint32_t neuron, uint32_t chunk, uint32_t code,
                     int16_t base) const {
  const TableEdits* of_table = this->table(table);
  const ChunkEdits* of_chunk = of_table == nullptr ? nullptr : of_table->Find(chunk);
  const RowEdits* row = of_chunk == nullptr ? nullptr : of_chunk->Find(code);
  const EntryEditValue* entry = row == nullptr ? nullptr : row->Find(neuron);
  return entry == nullptr ? base : entry->value;
}

TileChanges Edits::Changes(const std::vector<TableGeometry>& geometries) const {
  TileChanges changes;
  for (uint32_t table = 0; table < tables_.size(); ++table) {
    if (tables_[table] == nullptr) continue;
    const TableGeometry& geometry = geometries[table];
    tables_[table]->ForEach([&](uint32_t chunk, const ChunkEdits& edits) {
      for (const ChunkEdits::Row& row : edits.rows) {
        for (const EntryEditValue& entry : row.edits->entries()) {
          changes[TileOf(geometry, table, entry.neuron, chunk)].push_back(
              {DeltaIndex(geometry, entry.neuron, chunk, row.code), entry.base, entry.value});
        }
      }
    });
  }
  return changes;
}

}  // namespace lutdb
