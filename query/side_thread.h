// One thread that works through what it is given, in order, beside the caller.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace lutdb {

// Tasks must not throw. Post and Wait are thread-safe. After a task the thread looks for the next
// for a moment before it sleeps: waking it takes longer than small tasks do.
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
  std::atomic<bool> waiting_{false};         // for the thread: something to do, or the end
  std::atomic<bool> idle_{true};             // for who waits: all is done
  std::atomic<int> posted_from_{-1};         // a core, -1: unknown
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lutdb
