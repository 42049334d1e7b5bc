// Fills the next table of an arena while the one before it is looked up: layers are run in the
// order of their tables, so what will be wanted next is known before it is. One thread, begun by
// the first row that is missing, which spends from the same budget as fillings on demand; none
// where the process has a single thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "query/resident_panel.h"

namespace lutdb {

class FillAhead {
 public:
  // tables: by number, null where a table is not resident; they outlive it.
  explicit FillAhead(std::vector<ResidentPanel*> tables) : tables_(std::move(tables)) {}
  // Waits for the group that is being filled.
  ~FillAhead();
  FillAhead(const FillAhead&) = delete;

  // A row of `table` was missing: the table behind it will be wanted soon. Thread-safe; returns at
  // once.
  void Missed(uint32_t table);

 private:
  void Run();

  const std::vector<ResidentPanel*> tables_;
  std::mutex mutex_;
  std::condition_variable wake_;
  uint32_t wanted_ = 0;  // number of the table to fill
  bool asked_ = false;   // since wanted_ was last taken up
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lutdb
