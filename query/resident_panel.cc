#include "query/resident_panel.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "query/row_checksum.h"

namespace lutdb {
namespace {

// Rows are decoded here before they are written: large enough for writes of several huge pages.
constexpr uint64_t kBufferBytes = 32 << 20;

}  // namespace

ResidentPanel::ResidentPanel(Context context, std::unique_ptr<ArenaFile> file,
                             const std::vector<ArenaUnit>& kept)
    : context_(std::move(context)), file_(std::move(file)) {
  groups_ = (places().chunks() + context_.group_chunks - 1) / context_.group_chunks;
  state_ = std::make_unique<std::atomic<uint8_t>[]>(groups_);
  checksums_.resize(groups_);
  checked_.resize(groups_);
  missing_ = groups_;
  for (const ArenaUnit& unit : kept) {
    if (unit.unit >= groups_ || state_[unit.unit] != kMissing) continue;
    const uint32_t group = static_cast<uint32_t>(unit.unit);
    state_[group] = kUnverified;
    checksums_[group] = unit.checksum;
    ++kept_;
    context_.counters->used_bytes += GroupBytes(group);
  }
}

uint64_t ResidentPanel::GroupRowBegin(uint32_t group) const {
  return places().first_row(
      std::min<uint64_t>(uint64_t{group} * context_.group_chunks, places().chunks()));
}

uint64_t ResidentPanel::GroupBytes(uint32_t group) const {
  return GroupRows(group) * context_.row_bytes;
}

uint64_t ResidentPanel::Checksum(uint32_t group) const {
  return RowChecksum(At(GroupRowBegin(group)), GroupBytes(group));
}

absl::Status ResidentPanel::Fill(absl::Span<const uint32_t> chunks) {
  const std::lock_guard<std::mutex> lock(fill_mutex_);
  std::vector<uint32_t> wanted;
  for (const uint32_t chunk : chunks) {
    const uint32_t group = chunk / context_.group_chunks;
    if (!Has(chunk) && (wanted.empty() || wanted.back() != group)) wanted.push_back(group);
  }
  if (kept_ == 0 && (full_ || !context_.budget->allows())) return absl::OkStatus();
  return context_.workers->Split(wanted.size(), 1, [&](uint64_t begin, uint64_t end) {
    uint64_t buffer_bytes = 0;
    for (uint64_t i = begin; i < end; ++i) {
      buffer_bytes = std::max(buffer_bytes, GroupBytes(wanted[i]));
    }
    buffer_bytes = std::min(buffer_bytes, kBufferBytes);
    // A group of very long rows is filled in slices of some neuron blocks, at least one.
    for (uint64_t i = begin; i < end; ++i) {
      buffer_bytes = std::max(buffer_bytes, GroupRows(wanted[i]) * context_.block_bytes);
    }
    const AlignedArray<uint8_t> buffer = MakeAligned<uint8_t>(buffer_bytes);
    const unsigned sharers =
        static_cast<unsigned>(std::min<uint64_t>(wanted.size(), context_.workers->threads()));
    for (uint64_t i = begin; i < end; ++i) {
      if (VerifyGroup(wanted[i])) continue;
      if (full_.load(std::memory_order_relaxed) || !context_.budget->allows()) continue;
      const auto start = FillBudget::Clock::now();
      LUTDB_RETURN_IF_ERROR(FillGroup(wanted[i], buffer.get(), buffer_bytes));
      context_.budget->Spend(FillBudget::Clock::now() - start, sharers);
    }
    return absl::OkStatus();
  });
}

bool ResidentPanel::FillNext() {
  for (uint32_t group = next_; group < groups_; ++group) {
    if (state_[group].load(std::memory_order_acquire) == kReady) continue;
    next_ = group + 1;
    const uint32_t chunk = group * context_.group_chunks;
    return Fill(absl::MakeConstSpan(&chunk, 1)).ok() && Has(chunk);
  }
  next_ = groups_;
  return false;
}

void ResidentPanel::Publish(uint32_t group) {
  state_[group].store(kReady, std::memory_order_release);
  missing_.fetch_sub(1, std::memory_order_acq_rel);
}

// A group from an earlier process: believed once its bytes match; else its place is filled again.
bool ResidentPanel::VerifyGroup(uint32_t group) {
  if (state_[group] != kUnverified || checked_[group] != 0) return false;
  checked_[group] = 1;
  if (Checksum(group) != checksums_[group]) return false;
  Publish(group);
  return true;
}

// A file that takes no more is no error of the look-up: the group stays missing.
void ResidentPanel::Write(uint64_t offset, const uint8_t* from, uint64_t bytes) {
  if (!file_->Write(offset, from, bytes).ok()) full_.store(true, std::memory_order_relaxed);
}

absl::Status ResidentPanel::FillAtOnce(uint32_t group, uint8_t* buffer) {
  for (const Column& column : context_.columns) {
    LUTDB_RETURN_IF_ERROR(context_.reader->ReadGroup(column.table, *column.places, group, 0,
                                                     column.neuron_blocks, context_.row_bytes,
                                                     buffer + column.offset));
  }
  checksums_[group] = RowChecksum(buffer, GroupBytes(group));  // while it is near
  Write(GroupRowBegin(group) * context_.row_bytes, buffer, GroupBytes(group));
  return absl::OkStatus();
}

// Very long rows: some neuron blocks of each at a time.
absl::Status ResidentPanel::FillInPieces(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes) {
  const uint64_t rows = GroupRows(group);
  const auto slice =
      static_cast<uint32_t>(std::max<uint64_t>(buffer_bytes / (rows * context_.block_bytes), 1));
  for (const Column& column : context_.columns) {
    for (uint32_t block = 0; block < column.neuron_blocks; block += slice) {
      const uint32_t block_end = std::min(block + slice, column.neuron_blocks);
      const uint64_t begin = uint64_t{block} * context_.block_bytes;
      const uint64_t end =
          std::min(uint64_t{block_end} * context_.block_bytes, column.places->stride_bytes());
      LUTDB_RETURN_IF_ERROR(context_.reader->ReadGroup(column.table, *column.places, group, block,
                                                       block_end, end - begin, buffer));
      for (uint64_t row = 0; row < rows && !full_.load(std::memory_order_relaxed); ++row) {
        const uint64_t at = (GroupRowBegin(group) + row) * context_.row_bytes;
        Write(at + column.offset + begin, buffer + row * (end - begin), end - begin);
      }
    }
  }
  checksums_[group] = Checksum(group);
  return absl::OkStatus();
}

absl::Status ResidentPanel::FillGroup(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes) {
  const bool counted = state_[group] == kUnverified;  // its pages are there, though wrong
  LUTDB_RETURN_IF_ERROR(GroupBytes(group) <= buffer_bytes
                            ? FillAtOnce(group, buffer)
                            : FillInPieces(group, buffer, buffer_bytes));
  if (full_.load(std::memory_order_relaxed)) return absl::OkStatus();
  if (!counted) context_.counters->used_bytes += GroupBytes(group);
  context_.counters->fills += GroupRows(group) * context_.columns.size();
  Publish(group);
  return absl::OkStatus();
}

ArenaIndexTable ResidentPanel::Index() const {
  ArenaIndexTable index;
  index.residency = Residency::kWhole;
  index.rows = places().rows();
  index.stride_bytes = context_.row_bytes;
  for (uint32_t group = 0; group < groups_; ++group) {
    if (state_[group] != kMissing) index.units.push_back({group, checksums_[group]});
  }
  return index;
}

}  // namespace lutdb
