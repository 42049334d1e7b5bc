#include "db/parallel_reads.h"

#include <fcntl.h>
#include <liburing.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "db/read_plan.h"
#include "db/table_guard.h"

namespace lutdb::db {
namespace {

// RocksDB asks for at most 32 blocks at once.
constexpr unsigned kRingEntries = 64;
constexpr unsigned kReadThreads = 16;
// Files of which a second descriptor is held; a process may often have no more than 1,024.
constexpr int kParallelFilesMax = 256;

std::atomic<int> parallel_files{0};

// One ring per thread, made by its first batch.
class Ring {
 public:
  Ring() { usable_ = ::io_uring_queue_init(kRingEntries, &ring_, 0) == 0; }
  ~Ring() {
    if (usable_) ::io_uring_queue_exit(&ring_);
  }
  Ring(const Ring&) = delete;
  bool usable() const { return usable_; }

  // Bytes read of each request, or a negative errno. False when the kernel takes no requests: some
  // results are then missing, and none may arrive later.
  bool Read(int descriptor, rocksdb::FSReadRequest* requests, unsigned count, ssize_t* results) {
    for (unsigned first = 0; first < count; first += kRingEntries) {
      const unsigned some = std::min(kRingEntries, count - first);
      for (unsigned i = 0; i < some; ++i) {
        rocksdb::FSReadRequest& request = requests[first + i];
        io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
        ::io_uring_prep_read(entry, descriptor, request.scratch, static_cast<unsigned>(request.len),
                             request.offset);
        entry->user_data = first + i;
      }
      unsigned submitted = 0;
      while (submitted < some) {
        const int taken = ::io_uring_submit(&ring_);
        if (taken == -EINTR || taken == -EAGAIN || taken == -EBUSY) continue;
        if (taken <= 0) break;
        submitted += static_cast<unsigned>(taken);
      }
      for (unsigned i = 0; i < submitted; ++i) {
        io_uring_cqe* done = nullptr;
        while (::io_uring_wait_cqe(&ring_, &done) != 0) {
        }
        results[done->user_data] = done->res;
        ::io_uring_cqe_seen(&ring_, done);
      }
      if (submitted < some) {
        ::io_uring_queue_exit(&ring_);  // what was prepared and not taken must not be read later
        usable_ = false;
        return false;
      }
    }
    return true;
  }

 private:
  io_uring ring_;
  bool usable_ = false;
};

// Threads that read for whoever waits. They sleep when nobody does, and last as long as the
// process.
class ReadThreads {
 public:
  ReadThreads() {
    for (unsigned i = 0; i < kReadThreads; ++i) {
      try {
        std::thread([this] { Serve(); }).detach();
      } catch (const std::exception&) {
        return;  // the caller takes part in its own batch, so none at all is enough
      }
    }
  }

  // read(i) for each i below count, some of them at the same time; returns when all are done.
  void Run(unsigned count, const std::function<void(unsigned)>& read) {
    auto batch = std::make_shared<Batch>();
    batch->read = &read;
    batch->count = count;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (unsigned i = 1; i < std::min(count, kReadThreads); ++i) waiting_.push_back(batch);
    }
    work_.notify_all();
    Take(batch.get());
    std::unique_lock<std::mutex> lock(batch->mutex);
    batch->finished.wait(lock, [&] { return batch->done == count; });
  }

 private:
  struct Batch {
    const std::function<void(unsigned)>* read = nullptr;  // valid until done == count
    unsigned count = 0;
    std::atomic<unsigned> next{0};
    std::mutex mutex;
    std::condition_variable finished;
    unsigned done = 0;
  };

  static void Take(Batch* batch) {
    for (unsigned i = batch->next++; i < batch->count; i = batch->next++) {
      (*batch->read)(i);
      const std::lock_guard<std::mutex> lock(batch->mutex);
      if (++batch->done == batch->count) batch->finished.notify_all();
    }
  }

  void Serve() {
    for (;;) {
      std::shared_ptr<Batch> batch;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        work_.wait(lock, [&] { return !waiting_.empty(); });
        batch = std::move(waiting_.back());
        waiting_.pop_back();
      }
      Take(batch.get());
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<std::shared_ptr<Batch>> waiting_;
};

std::atomic<bool> force_threads{false};

bool RingsWork() {
  static const bool works = [] {
    const Ring ring;
    return ring.usable();
  }();
  return works && !force_threads.load(std::memory_order_relaxed);
}

// Never destroyed: its threads may outlive the end of main.
ReadThreads& Threads() {
  static auto* threads = new ReadThreads();
  return *threads;
}

class ParallelFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  ParallelFile(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, int descriptor)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), descriptor_(descriptor) {}
  ~ParallelFile() override {
    ::close(descriptor_);
    --parallel_files;
  }

  rocksdb::IOStatus MultiRead(rocksdb::FSReadRequest* requests, size_t count,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    if (ReadPlan::TakeOver(descriptor_, requests, count)) return rocksdb::IOStatus::OK();
    if (count == 1) {
      ReadOne(&requests[0], options, debug);
      return rocksdb::IOStatus::OK();
    }
    thread_local Ring ring;
    if (!RingsWork() || !ring.usable()) {
      Threads().Run(static_cast<unsigned>(count),
                    [&](unsigned i) { ReadOne(&requests[i], options, debug); });
      return rocksdb::IOStatus::OK();
    }
    thread_local std::vector<ssize_t> results;
    results.assign(count, -1);
    ring.Read(descriptor_, requests, static_cast<unsigned>(count), results.data());
    for (size_t i = 0; i < count; ++i) {
      if (results[i] == static_cast<ssize_t>(requests[i].len)) {
        requests[i].result = rocksdb::Slice(requests[i].scratch, requests[i].len);
        requests[i].status = rocksdb::IOStatus::OK();
      } else {  // short, failed or never begun: RocksDB's own way says which
        ReadOne(&requests[i], options, debug);
      }
    }
    return rocksdb::IOStatus::OK();
  }

 private:
  void ReadOne(rocksdb::FSReadRequest* request, const rocksdb::IOOptions& options,
               rocksdb::IODebugContext* debug) {
    request->status = target()->Read(request->offset, request->len, options, &request->result,
                                     request->scratch, debug);
  }

  const int descriptor_;  // of the same file
};

class ParallelFileSystem : public rocksdb::FileSystemWrapper {
 public:
  ParallelFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "lutdb-parallel-reads"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = target()->NewRandomAccessFile(path, options, file, debug);
    if (!status.ok() || options.use_mmap_reads || options.use_direct_reads) return status;
    status = GuardAgainstDamage(path, options, file, debug);
    if (!status.ok()) return status;
    // Where there is no descriptor, RocksDB's own file serves as well, one block at a time.
    const bool room = ++parallel_files <= kParallelFilesMax;
    const int descriptor = room ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0) {
      --parallel_files;
      return status;
    }
    (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
    *file = std::make_unique<ParallelFile>(std::move(*file), descriptor);
    return status;
  }

 private:
  rocksdb::IOStatus GuardAgainstDamage(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                       rocksdb::IODebugContext* debug) {
    uint64_t bytes = 0;
    const rocksdb::IOStatus status = target()->GetFileSize(path, options.io_options, &bytes, debug);
    return status.ok() ? GuardTable(path, bytes, file) : status;
  }
};

}  // namespace

ReadMode BatchedReadMode() { return RingsWork() ? ReadMode::kIoUring : ReadMode::kThreads; }

void ForceThreadedReads() { force_threads.store(true, std::memory_order_relaxed); }

rocksdb::Env* ParallelReadEnv() {
  static rocksdb::Env* env =
      rocksdb::NewCompositeEnv(std::make_shared<ParallelFileSystem>()).release();
  return env;
}

}  // namespace lutdb::db
