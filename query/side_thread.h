// One thread that works through what it is given, in order, beside the caller.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace lutdb {

// Tasks must not throw. Post and Wait are thread-safe.
class SideThread {
 public:
  SideThread();
  ~SideThread();  // finishes what was posted
  SideThread(const SideThread&) = delete;

  void Post(std::function<void()> task);
  void Wait();  // until all that was posted is done

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable done_;
  std::deque<std::function<void()>> tasks_;  // the first is being run
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lutdb
