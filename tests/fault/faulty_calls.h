// Faults under everything that touches files: this program's own definitions of open, pread, fsync,
// rename and the others stand before the C library's, so that RocksDB, lutdb's own files (journal,
// counters, arena) and std::filesystem all go through them, in the one order in which the kernel
// would see them. A RocksDB FileSystemWrapper would see RocksDB alone, and no order between it and
// the rest.
//
// Only files below one root are watched. A plan lies in memory that children share, so that a test
// arms it, forks the work, and reads what happened even when the child died.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace lutdb::fault {

// What a call is to the disk. kName: everything that changes a directory. kMemory: operator new.
enum class Call : int { kRead = 0, kWrite = 1, kSync = 2, kName = 3, kSpace = 4, kMemory = 5 };
inline constexpr int kCalls = 6;
const char* Name(Call call);

enum class Effect : int {
  kNone = 0,
  kFail,      // the call fails with `error` and does nothing
  kTear,      // a write writes its first half and fails; other calls as kFail
  kKill,      // SIGKILL in place of the call; a write writes its first half before
  kFlip,      // a read gives one bit turned over
  kMisplace,  // a read answers from another place in the file
  kSlow,      // the call takes 2 ms longer
};

struct Plan {
  std::atomic<bool> watching;
  char root[512];
  Effect effect;
  Call call;
  bool any_call;  // instead of `call`: counts all calls
  bool sticky;    // every call from the n-th on
  int error;      // errno of kFail
  int64_t nth;    // the first call is number 1; 0: never
  std::atomic<int64_t> count[kCalls];
  std::atomic<int64_t> fired;
  char where[512];  // what the first fault hit
  // A recording of every change, for power cuts: a file outside the root, or -1.
  std::atomic<int> trace;
  // How far the work came, as it says itself.
  std::atomic<int64_t> acknowledged;
  char message[1024];
};

// The one plan of this process and of the children it forks.
Plan& ThePlan();
// Forgets everything and watches files below `root` (an absolute path; "x" watches x.partial too).
void Watch(const std::string& root);
// Faults the n-th call.
void Arm(Effect effect, Call call, int64_t nth, bool sticky, int error);
void Unwatch();
// From now on allocations of this process can fail, too: called in children.
void FaultMemoryHere();
bool MemoryFaultsHere();
int64_t TotalCalls();  // kMemory apart

// Records changes below the root into a file, beginning now: fault/disk_replay.h reads it.
void StartTrace(const std::string& path);
// The work says that it was told "done": into the plan, and into the trace.
void Acknowledge();

}  // namespace lutdb::fault
