#include "query/resident_table.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "query/row_checksum.h"

namespace lutdb {
namespace {

// Rows are decoded here before they are written: large enough for writes of several huge pages.
constexpr uint64_t kBufferBytes = 32 << 20;

}  // namespace

ResidentTable::ResidentTable(const Context& context, std::unique_ptr<ArenaFile> file,
                             const std::vector<ArenaUnit>& kept)
    : context_(context), file_(std::move(file)) {
  groups_ = (context_.places->chunks() + context_.group_chunks - 1) / context_.group_chunks;
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

uint64_t ResidentTable::GroupRowBegin(uint32_t group) const {
  const RowPlaces& places = *context_.places;
  return places.first_row(
      std::min<uint64_t>(uint64_t{group} * context_.group_chunks, places.chunks()));
}

uint64_t ResidentTable::GroupBytes(uint32_t group) const {
  return (GroupRowBegin(group + 1) - GroupRowBegin(group)) * context_.places->stride_bytes();
}

uint64_t ResidentTable::Checksum(uint32_t group) const {
  return RowChecksum(At(GroupRowBegin(group)), GroupBytes(group));
}

absl::Status ResidentTable::Fill(absl::Span<const uint32_t> chunks) {
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
      const uint64_t rows = GroupRowBegin(wanted[i] + 1) - GroupRowBegin(wanted[i]);
      buffer_bytes = std::max(buffer_bytes, rows * context_.block_bytes);
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

bool ResidentTable::FillNext() {
  for (uint32_t group = next_; group < groups_; ++group) {
    if (state_[group].load(std::memory_order_acquire) == kReady) continue;
    next_ = group + 1;
    const uint32_t chunk = group * context_.group_chunks;
    return Fill(absl::MakeConstSpan(&chunk, 1)).ok() && Has(chunk);
  }
  next_ = groups_;
  return false;
}

void ResidentTable::Publish(uint32_t group) {
  state_[group].store(kReady, std::memory_order_release);
  missing_.fetch_sub(1, std::memory_order_acq_rel);
}

// A group from an earlier process: believed once its bytes match; else its place is filled again.
bool ResidentTable::VerifyGroup(uint32_t group) {
  if (state_[group] != kUnverified || checked_[group] != 0) return false;
  checked_[group] = 1;
  if (Checksum(group) != checksums_[group]) return false;
  Publish(group);
  return true;
}

absl::Status ResidentTable::FillGroup(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes) {
  const bool counted = state_[group] == kUnverified;  // its pages are there, though wrong
  const RowPlaces& places = *context_.places;
  const uint64_t stride = places.stride_bytes();
  const uint64_t row_begin = GroupRowBegin(group);
  const uint64_t rows = GroupRowBegin(group + 1) - row_begin;
  uint64_t checksum = 0;
  uint32_t slice = context_.neuron_blocks;
  if (rows * stride > buffer_bytes) {
    slice =
        static_cast<uint32_t>(std::max<uint64_t>(buffer_bytes / (rows * context_.block_bytes), 1));
  }
  for (uint32_t block = 0; block < context_.neuron_blocks; block += slice) {
    const uint32_t block_end = std::min(block + slice, context_.neuron_blocks);
    const uint64_t offset = uint64_t{block} * context_.block_bytes;
    const uint64_t piece = std::min(uint64_t{block_end} * context_.block_bytes, stride) - offset;
    LUTDB_RETURN_IF_ERROR(
        context_.reader->ReadGroup(context_.table, places, group, block, block_end, piece, buffer));
    absl::Status status;
    if (piece == stride) {
      checksum = RowChecksum(buffer, rows * stride);  // while it is near
      status = file_->Write(row_begin * stride, buffer, rows * stride);
    } else {
      for (uint64_t row = 0; row < rows && status.ok(); ++row) {
        status = file_->Write((row_begin + row) * stride + offset, buffer + row * piece, piece);
      }
    }
    if (!status.ok()) {
      full_.store(true, std::memory_order_relaxed);
      return absl::OkStatus();
    }
  }
  checksums_[group] = slice == context_.neuron_blocks ? checksum : Checksum(group);
  if (!counted) context_.counters->used_bytes += GroupBytes(group);
  context_.counters->fills += rows;
  Publish(group);
  return absl::OkStatus();
}

ArenaIndexTable ResidentTable::Index() const {
  ArenaIndexTable index;
  index.residency = Residency::kWhole;
  index.rows = context_.places->rows();
  index.stride_bytes = context_.places->stride_bytes();
  for (uint32_t group = 0; group < groups_; ++group) {
    if (state_[group] != kMissing) index.units.push_back({group, checksums_[group]});
  }
  return index;
}

}  // namespace lutdb
