// A RocksDB file system whose batched reads are really under way at the same time. Debian's RocksDB
// has no io_uring: its MultiRead reads one block after the other, so that a MultiGet from disk is
// as slow as a loop of Gets. This one hands the blocks of a batch to the kernel at once, or, where
// io_uring is refused (containers, old kernels), to a few threads.
#pragma once

namespace rocksdb {
class Env;
}

namespace lutdb::db {

// How batched reads are done on this machine.
enum class ReadMode { kIoUring, kThreads };
ReadMode BatchedReadMode();
// For tests and measurements: threads even where io_uring works. Call before the first read.
void ForceThreadedReads();

// Of the whole process, never destroyed; everything but batched reads of table files is RocksDB's
// default.
rocksdb::Env* ParallelReadEnv();

}  // namespace lutdb::db
