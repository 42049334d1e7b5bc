#include "query/fill_ahead.h"

#include <exception>

namespace lutdb {

FillAhead::~FillAhead() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FillAhead::Missed(uint32_t table) {
  uint32_t next = table + 1;
  while (next < tables_.size() && tables_[next] == tables_[table]) ++next;  // of the same panel
  if (next >= tables_.size() || tables_[next] == nullptr || tables_[next]->complete()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (asked_ && wanted_ == next) return;
  wanted_ = next;
  asked_ = true;
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::exception&) {
      return;  // no thread to be had: rows are made when they are asked for
    }
  }
  wake_.notify_all();
}

void FillAhead::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || asked_; });
    if (stop_) return;
    const uint32_t table = wanted_;
    asked_ = false;
    // Group by group, so that a look-up that wants another group of the table waits for one only.
    while (!stop_ && !(asked_ && wanted_ != table)) {
      lock.unlock();
      const bool more = tables_[table]->FillNext();
      lock.lock();
      if (!more) break;
    }
  }
}

}  // namespace lutdb
