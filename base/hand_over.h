// What a thread pool orders, said once more in code that is compiled here: ThreadSanitizer does not
// see into oneTBB's library, and would report every value that goes through it as a race.
#pragma once

#include <atomic>
#include <cstdint>

namespace lutdb {

// What a thread wrote before Give is there for each thread whose Take comes after it. Two
// instructions; thread-safe.
class HandOver {
 public:
  void Give() { given_.fetch_add(1, std::memory_order_release); }
  void Take() const { (void)given_.load(std::memory_order_acquire); }

 private:
  std::atomic<uint64_t> given_{0};
};

}  // namespace lutdb
