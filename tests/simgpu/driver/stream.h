// Streams that work by themselves: what is put in is done later, in order, by
// a thread of the stream's own.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_STREAM_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_STREAM_H_

#include <cuda.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "memory.h"

namespace simgpu {

// One thing for a stream to do.
struct Work {
  // Each may be empty: when it is put in, by the thread that does; when its turn comes, not whole where the device
  // fails in the middle; and behind that, alone where the device has failed before.
  std::function<void()> start;
  std::function<void(bool whole)> run;
  std::function<void()> finish;
  bool marks = false;                         // an event, and nothing else
  bool takes_time = false;                    // a network, where that is all that does
  std::chrono::steady_clock::time_point put;  // when it was put in
  // Device memory that it uses, as far as the call says: addresses and sizes.
  std::vector<std::pair<uint64_t, uint64_t>> uses;
};

class Stream;

// Where a network takes a fixed time: the time on the stream whose work this
// thread does. It is what its events say, however late the thread is.
std::chrono::steady_clock::time_point& StreamTime();

// What a stream has to reach; waited for by threads.
class Event {
 public:
  // flags are cuEventCreate's.
  Event(int of_device, unsigned int flags) : device(of_device), timed((flags & CU_EVENT_DISABLE_TIMING) == 0) {}

  const int device;
  const bool timed;

  // The mark that was put into a stream last; an event that never was is
  // reached.
  struct Mark {
    std::mutex mutex;
    std::condition_variable changed;
    bool reached = false;
    std::chrono::steady_clock::time_point when;
    void Reach();
    void Wait();
    bool Reached();
  };

  std::shared_ptr<Mark> Last();
  std::shared_ptr<Mark> Next();  // of a record that begins now

 private:
  std::mutex mutex_;
  std::shared_ptr<Mark> mark_;
};

// What a capture has gathered.
struct Graph {
  std::vector<Work> work;
};

class Stream {
 public:
  explicit Stream(int of_device);
  ~Stream();  // waits until all is done

  void Put(Work work);
  // Until all is done that was put in before.
  void Wait();
  // Whether work that is not done yet uses any of these bytes.
  bool Uses(uint64_t address, uint64_t size);

  void BeginCapture();
  bool Capturing() const { return capturing_; }
  // From here on until EndCapture nothing can be done with the stream.
  void FailCapture() { capture_failed_ = true; }
  bool CaptureFailed() const { return capture_failed_; }
  std::unique_ptr<Graph> EndCapture();

  const int device;
  std::thread::id capturer;  // the one thread that may use it while it captures

 private:
  void Loop();
  void Dawdle();
  void Do(const Work& work) const;

  std::unique_ptr<Graph> capture_;
  std::atomic<bool> capturing_{false};
  std::atomic<bool> capture_failed_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  uint64_t put_ = 0, done_ = 0;  // how much work, ever
  bool closing_ = false;
  std::mt19937_64 random_;
  std::thread thread_;
};

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_STREAM_H_
