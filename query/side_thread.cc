#include "query/side_thread.h"

#include <chrono>

namespace lutdb {
namespace {

// Longer than a sync on a fast disk takes, so that it is awake for commit after commit.
constexpr auto kLookAround = std::chrono::microseconds(300);

}  // namespace

SideThread::SideThread() : thread_([this] { Run(); }) {}

SideThread::~SideThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    waiting_ = true;
  }
  posted_.notify_one();
  thread_.join();
}

void SideThread::Post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    waiting_ = true;
  }
  posted_.notify_one();
}

void SideThread::Wait() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return tasks_.empty(); });
}

void SideThread::LookAround() const {
  const auto start = std::chrono::steady_clock::now();
  while (!waiting_ && std::chrono::steady_clock::now() - start < kLookAround) {
    std::this_thread::yield();
  }
}

void SideThread::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    waiting_ = stop_ || !tasks_.empty();
    if (!waiting_) {
      lock.unlock();
      LookAround();
      lock.lock();
    }
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
