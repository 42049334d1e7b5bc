#include "query/side_thread.h"

#include <sched.h>

#include <chrono>

namespace lutdb {
namespace {

// Longer than a sync on a fast disk takes, so that it is awake for commit after commit.
constexpr auto kLookAround = std::chrono::microseconds(300);
// A task that is nearly done is cheaper to wait for awake.
constexpr auto kNearlyDone = std::chrono::microseconds(50);

template <typename Condition>
void LookAround(const Condition& until, std::chrono::steady_clock::duration at_most) {
  const auto start = std::chrono::steady_clock::now();
  while (!until() && std::chrono::steady_clock::now() - start < at_most) {
    std::this_thread::yield();
  }
}

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
    idle_ = false;
    posted_from_ = ::sched_getcpu();
  }
  posted_.notify_one();
}

void SideThread::Wait() {
  LookAround([this] { return idle_.load(); }, kNearlyDone);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return tasks_.empty(); });
}

void SideThread::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    waiting_ = stop_ || !tasks_.empty();
    if (!waiting_) {
      lock.unlock();
      // Awake on the core of the one who posts it would be in the way; woken, it gets another.
      LookAround([this] { return waiting_ || ::sched_getcpu() == posted_from_; }, kLookAround);
      lock.lock();
    }
    posted_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    lock.unlock();
    tasks_.front()();  // deque: posting more does not move it
    lock.lock();
    tasks_.pop_front();
    idle_ = tasks_.empty();
    if (idle_) done_.notify_all();
  }
}

}  // namespace lutdb
