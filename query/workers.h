// Threads of one store or row source: a loop split over a bounded number of them. oneTBB's
// exceptions end here and become a Status.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"

namespace lutdb {

class Workers {
 public:
  explicit Workers(unsigned threads);  // 0: all cores
  ~Workers();

  unsigned threads() const { return threads_; }

  // Calls body(begin, end) for pieces of [0, count) of at least `grain` items, on at most threads()
  // threads at a time, the caller's among them; short loops run on the caller's alone. Returns the
  // first error met; pieces that have not begun by then are left out. Thread-safe.
  absl::Status Split(uint64_t count, uint64_t grain,
                     const std::function<absl::Status(uint64_t begin, uint64_t end)>& body) const;

 private:
  struct State;
  unsigned threads_;
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
