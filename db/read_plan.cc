#include "db/read_plan.h"

#include <liburing.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "db/parallel_reads.h"

namespace lutdb::db {
namespace {

constexpr size_t kPartKeys = 128;
constexpr unsigned kPartBlocks = 128;               // those beyond are read by RocksDB
constexpr uint64_t kPartBytes = 1 << 20;            // the same
constexpr unsigned kRingEntries = 2 * kPartBlocks;  // two parts are under way at once
constexpr size_t kPlannedMin = 64;  // keys of a batch; RocksDB asks for 32 blocks by itself
// Per key, when reads come from a disk and when they do not.
constexpr double kSlowSeconds = 25e-6;
constexpr double kFastSeconds = 8e-6;

enum class Phase { kOff, kWriteDown, kServe };

struct Block {
  int descriptor = -1;
  uint64_t offset = 0;
  size_t bytes = 0;
  uint64_t place = 0;  // in the part's memory
  ssize_t result = -1;
  bool operator<(const Block& other) const {
    return descriptor != other.descriptor ? descriptor < other.descriptor : offset < other.offset;
  }
};

// The blocks of some of the keys.
struct Part {
  std::vector<Block> blocks;
  uint64_t bytes = 0;
  bool met_any = false;  // blocks to be read, listed or not
  unsigned under_way = 0;
  AlignedArray<uint8_t> memory;

  void Clear() {
    blocks.clear();
    bytes = 0;
    met_any = false;
  }

  void WriteDown(int descriptor, rocksdb::FSReadRequest* requests, size_t count) {
    met_any = true;
    for (size_t i = 0; i < count; ++i) {
      requests[i].status = rocksdb::IOStatus::Busy("to be read with the others");
      if (bytes + requests[i].len > kPartBytes || blocks.size() == kPartBlocks) continue;
      blocks.push_back({.descriptor = descriptor,
                        .offset = requests[i].offset,
                        .bytes = requests[i].len,
                        .place = bytes});
      bytes += (requests[i].len + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
    }
  }

  const Block* Find(int descriptor, const rocksdb::FSReadRequest& request) const {
    const Block wanted = {.descriptor = descriptor, .offset = request.offset};
    const auto found = std::lower_bound(blocks.begin(), blocks.end(), wanted);
    if (found == blocks.end() || wanted < *found || found->bytes != request.len) return nullptr;
    return found->result == static_cast<ssize_t>(request.len) ? &*found : nullptr;
  }

  bool Serve(int descriptor, rocksdb::FSReadRequest* requests, size_t count) const {
    for (size_t i = 0; i < count; ++i) {
      if (Find(descriptor, requests[i]) == nullptr) return false;  // RocksDB's own way says why
    }
    for (size_t i = 0; i < count; ++i) {
      const Block& block = *Find(descriptor, requests[i]);
      std::memcpy(requests[i].scratch, memory.get() + block.place, block.bytes);
      requests[i].result = rocksdb::Slice(requests[i].scratch, block.bytes);
      requests[i].status = rocksdb::IOStatus::OK();
    }
    return true;
  }
};

}  // namespace

struct ReadPlan::State {
  Phase phase = Phase::kOff;
  Part parts[2];
  Part* part = nullptr;  // that the phase is about
  uint64_t blocks = 0;
  io_uring ring;
  bool ring_usable = false;

  State() { ring_usable = ::io_uring_queue_init(kRingEntries, &ring, 0) == 0; }
  ~State() {
    if (ring_usable) ::io_uring_queue_exit(&ring);
  }

  void Start(size_t number);
  void TakeResult();
  void Finish(Part* wanted);
};

// Hands all blocks of a part to the kernel. Those that it does not take stay without a result.
void ReadPlan::State::Start(size_t number) {
  Part& mine = parts[number];
  if (mine.memory == nullptr) mine.memory = MakeAligned<uint8_t>(kPartBytes + kPartBlocks * 64);
  std::sort(mine.blocks.begin(), mine.blocks.end());
  blocks += mine.blocks.size();
  if (!ring_usable) return;
  unsigned prepared = 0;
  for (Block& block : mine.blocks) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
    if (entry == nullptr) break;
    ::io_uring_prep_read(entry, block.descriptor, mine.memory.get() + block.place,
                         static_cast<unsigned>(block.bytes), block.offset);
    entry->user_data = number * kPartBlocks + prepared++;
  }
  while (prepared > 0) {
    const int taken = ::io_uring_submit(&ring);
    if (taken == -EINTR || taken == -EAGAIN || taken == -EBUSY) continue;
    if (taken <= 0) break;
    mine.under_way += static_cast<unsigned>(taken);
    prepared -= static_cast<unsigned>(taken);
  }
  if (prepared == 0) return;
  // What was prepared and not taken must not be read later, into memory that is used again.
  for (Part& other : parts) Finish(&other);
  ::io_uring_queue_exit(&ring);
  ring_usable = false;
}

void ReadPlan::State::TakeResult() {
  io_uring_cqe* done = nullptr;
  while (::io_uring_wait_cqe(&ring, &done) != 0) {
  }
  Part& of = parts[done->user_data / kPartBlocks];
  of.blocks[done->user_data % kPartBlocks].result = done->res;
  --of.under_way;
  ::io_uring_cqe_seen(&ring, done);
}

void ReadPlan::State::Finish(Part* wanted) {
  while (wanted->under_way > 0) TakeResult();
}

namespace {

thread_local ReadPlan* active = nullptr;
std::atomic<Planning> planning{Planning::kWhenSlow};

}  // namespace

ReadPlan::ReadPlan() : state_(std::make_unique<State>()) {}
ReadPlan::~ReadPlan() = default;
uint64_t ReadPlan::blocks() const { return state_->blocks; }

void ReadPlan::Run(size_t keys, const LookUp& look_up) {
  State& state = *state_;
  state.blocks = 0;
  active = this;
  const size_t parts = (keys + kPartKeys - 1) / kPartKeys;
  const auto run = [&](Phase phase, size_t number) {
    state.phase = phase;
    state.part = &state.parts[number % 2];
    look_up(number * kPartKeys, std::min(keys, (number + 1) * kPartKeys),
            phase == Phase::kWriteDown);  // which reads blocks of the index alone
    state.phase = Phase::kOff;
  };
  for (size_t number = 0; number <= parts; ++number) {
    if (number < parts) {
      state.parts[number % 2].Clear();
      run(Phase::kWriteDown, number);
      state.Start(number % 2);
    }
    if (number == 0) continue;
    Part& before = state.parts[(number - 1) % 2];
    state.Finish(&before);
    if (before.met_any) run(Phase::kServe, number - 1);
  }
  active = nullptr;
}

bool ReadPlan::TakeOver(int descriptor, rocksdb::FSReadRequest* requests, size_t count) {
  if (active == nullptr) return false;
  State& state = *active->state_;
  if (state.phase == Phase::kServe) return state.part->Serve(descriptor, requests, count);
  if (state.phase != Phase::kWriteDown) return false;
  state.part->WriteDown(descriptor, requests, count);
  return true;
}

void ForcePlannedReads(Planning wanted) { planning.store(wanted, std::memory_order_relaxed); }

void PlannedReads::Run(size_t keys, const LookUp& look_up) {
  if (keys < kPlannedMin || BatchedReadMode() != ReadMode::kIoUring) return look_up(0, keys, true);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds_per_key = [&] {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(keys);
  };
  const Planning wanted = planning.load(std::memory_order_relaxed);
  const bool slow = slow_.load(std::memory_order_relaxed);
  if (wanted == Planning::kNever || (wanted == Planning::kWhenSlow && !slow)) {
    look_up(0, keys, true);
    if (seconds_per_key() > kSlowSeconds) slow_.store(true, std::memory_order_relaxed);
    return;
  }
  thread_local ReadPlan plan;
  plan.Run(keys, look_up);
  if (plan.blocks() * 4 < keys || seconds_per_key() < kFastSeconds) {
    slow_.store(false, std::memory_order_relaxed);
  }
}

}  // namespace lutdb::db
