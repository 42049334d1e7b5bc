#include "query/side_thread.h"

namespace lutdb {

SideThread::SideThread() : thread_([this] { Run(); }) {}

SideThread::~SideThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  posted_.notify_one();
  thread_.join();
}

void SideThread::Post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  posted_.notify_one();
}

void SideThread::Wait() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return tasks_.empty(); });
}

void SideThread::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    posted_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    lock.unlock();
    tasks_.front()();  // deque: posting more does not move it
    lock.lock();
    tasks_.pop_front();
    if (tasks_.empty()) done_.notify_all();
  }
}

}  // namespace lutdb
