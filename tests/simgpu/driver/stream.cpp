#include "stream.h"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "calls.h"
#include "sim.h"

namespace simgpu {

std::chrono::steady_clock::time_point& StreamTime() {
  thread_local std::chrono::steady_clock::time_point time;
  return time;
}

void Event::Mark::Reach() {
  const std::lock_guard<std::mutex> lock(mutex);
  reached = true;
  when = Settings::Get().network_us > 0 ? StreamTime() : std::chrono::steady_clock::now();
  changed.notify_all();
}

bool Event::Mark::Reached() {
  const std::lock_guard<std::mutex> lock(mutex);
  return reached;
}

void Event::Mark::Wait() {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [this] { return reached; });
}

std::shared_ptr<Event::Mark> Event::Last() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return mark_;
}

std::shared_ptr<Event::Mark> Event::Next() {
  const std::lock_guard<std::mutex> lock(mutex_);
  mark_ = std::make_shared<Mark>();
  return mark_;
}

namespace {

// Of each stream another, the same every time.
uint64_t NextSeed() {
  static std::atomic<uint64_t> number{0};
  return Settings::Get().seed + number++;
}

}  // namespace

Stream::Stream(int of_device) : device(of_device), random_(NextSeed()) {
  if (!Settings::Get().inline_) thread_ = std::thread([this] { Loop(); });
}

Stream::~Stream() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Stream::Put(Work work) {
  if (capture_ != nullptr) {
    capture_->work.push_back(std::move(work));
    return;
  }
  if (Settings::Get().instant && !work.marks && !work.takes_time) return;
  if (work.start) work.start();
  work.put = std::chrono::steady_clock::now();
  if (Settings::Get().inline_) return Do(work);
  const std::lock_guard<std::mutex> lock(mutex_);
  queue_.push_back(std::move(work));
  ++put_;
  changed_.notify_all();
}

void Stream::BeginCapture() {
  capture_ = std::make_unique<Graph>();
  capture_failed_ = false;
  capturing_ = true;
}

std::unique_ptr<Graph> Stream::EndCapture() {
  capturing_ = false;
  capture_failed_ = false;
  return std::move(capture_);
}

namespace {

// How much of the next work a device does.
enum class Part : uint8_t { kAll, kHalf, kNone };

Part NextPart(int device, bool marks) {
  const Guard guard(Lock());
  Device* const of = DeviceAt(device);
  if (of->lost != 0 || of->faulted) return Part::kNone;
  if (marks || of->fault_in == 0) return Part::kAll;
  --of->fault_in;
  if (of->fault_in > 0) return Part::kAll;
  of->faulted = true;
  return Part::kHalf;
}

}  // namespace

void Stream::Do(const Work& work) const {
  StreamTime() = std::max(StreamTime(), work.put);
  const Part part = NextPart(device, work.marks);
  if (work.run && part != Part::kNone) work.run(part == Part::kAll);
  if (work.finish) work.finish();
}

// Goes on often at once, sometimes late enough for others to go first.
void Stream::Dawdle() {
  const uint64_t chance = random_() % 8;
  if (chance == 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 300));
  } else if (chance < 4) {
    std::this_thread::yield();
  }
}

void Stream::Loop() {
  // Linux wakes sleepers up to 50 us late unless it is told not to
  if (Settings::Get().network_us > 0) prctl(PR_SET_TIMERSLACK, 1);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Work& work = queue_.front();  // it stays there until it is done, for Uses
    lock.unlock();
    if (Settings::Get().network_us == 0) Dawdle();
    Do(work);
    lock.lock();
    queue_.pop_front();
    ++done_;
    changed_.notify_all();
  }
}

void Stream::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this, until = put_] { return done_ >= until; });
}

bool Stream::Uses(uint64_t address, uint64_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Work& work : queue_) {
    for (const auto& [at, length] : work.uses) {
      if (at < address + size && address < at + length) return true;
    }
  }
  return false;
}

}  // namespace simgpu
