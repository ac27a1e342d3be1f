#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "sim.h"

namespace simgpu {
namespace {

constexpr uint64_t kAlignment = 512;  // more than CUDA's 256, so that a program cannot count on neighbors
constexpr uint64_t kGap = 4096;       // between allocations: what runs over an end is in none
constexpr uint64_t kPage = 4096;

uint64_t RoundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

void* Map(uint64_t size, int protection) {
  void* const at = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) abort();
  return at;
}

}  // namespace

DeviceMemory& DeviceMemory::Get() {
  static auto* const memory = new DeviceMemory();
  return *memory;
}

DeviceMemory::DeviceMemory()
    : size_(Settings::Get().memory),
      reserved_(reinterpret_cast<uint64_t>(Map(size_ * Settings::Get().devices, PROT_NONE))),
      host_(static_cast<unsigned char*>(Map(size_ * Settings::Get().devices, PROT_READ | PROT_WRITE))) {}

uint64_t DeviceMemory::Allocate(int device, uint64_t size) {
  const uint64_t end = reserved_ + size_ * (device + 1);
  uint64_t at = reserved_ + size_ * device;
  for (auto it = allocations_.lower_bound(at); it != allocations_.end() && it->first < end; ++it) {
    if (it->first >= at + size + kGap) break;
    at = RoundUp(it->first + it->second + kGap, kAlignment);
  }
  if (size == 0 || at + size + kGap > end) return 0;
  allocations_[at] = size;
  memset(host_ + (at - reserved_), 0xdd, size);  // as good as anything: nobody may count on zeros
  return at;
}

bool DeviceMemory::Free(uint64_t address) {
  const auto it = allocations_.find(address);
  if (it == allocations_.end()) return false;
  allocations_.erase(it);
  return true;
}

void* DeviceMemory::Host(uint64_t address, uint64_t size) const {
  auto it = allocations_.upper_bound(address);
  if (it == allocations_.begin()) return nullptr;
  --it;
  if (address + size > it->first + it->second) return nullptr;
  return host_ + (address - reserved_);
}

int DeviceMemory::DeviceOf(uint64_t address) const {
  if (address < reserved_ || address >= reserved_ + size_ * Settings::Get().devices) return -1;
  return static_cast<int>((address - reserved_) / size_);
}

uint64_t DeviceMemory::Used(int device) const {
  uint64_t used = 0;
  for (const auto& [address, size] : allocations_) {
    if (DeviceOf(address) == device) used += size;
  }
  return used;
}

PinnedMemory& PinnedMemory::Get() {
  static auto* const memory = new PinnedMemory();
  return *memory;
}

void* PinnedMemory::Allocate(uint64_t size) {
  if (size == 0) return nullptr;
  // the program's view and the simulator's are of the same memory
  const int file = memfd_create("simgpu-pinned", MFD_CLOEXEC);
  const uint64_t whole = RoundUp(size, kPage);
  if (file < 0 || ftruncate(file, static_cast<off_t>(whole)) != 0) abort();
  void* const at = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* const own = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED || own == MAP_FAILED) return nullptr;
  blocks_[reinterpret_cast<uint64_t>(at)] = {size, static_cast<unsigned char*>(own), {}, {}};
  return at;
}

bool PinnedMemory::Free(void* address) {
  const auto it = blocks_.find(reinterpret_cast<uint64_t>(address));
  if (it == blocks_.end()) return false;
  munmap(address, RoundUp(it->second.size, kPage));
  munmap(it->second.own, RoundUp(it->second.size, kPage));
  blocks_.erase(it);
  return true;
}

std::map<uint64_t, PinnedMemory::Block>::const_iterator PinnedMemory::Find(const void* address, uint64_t size) const {
  const auto at = reinterpret_cast<uint64_t>(address);
  auto it = blocks_.upper_bound(at);
  if (it == blocks_.begin()) return blocks_.end();
  --it;
  return at + size <= it->first + it->second.size ? it : blocks_.end();
}

bool PinnedMemory::Contains(const void* address, uint64_t size) const { return Find(address, size) != blocks_.end(); }

void* PinnedMemory::Own(const void* address) const {
  const auto it = Find(address, 0);
  return it->second.own + (reinterpret_cast<uint64_t>(address) - it->first);
}

void PinnedMemory::Protect(uint64_t address, const Block& block, uint64_t page) {
  const bool written = block.writing.count(page) != 0;
  const bool read = block.reading.count(page) != 0;
  const int protection = written ? PROT_NONE : read ? PROT_READ : PROT_READ | PROT_WRITE;
  if (mprotect(reinterpret_cast<void*>(address + page * kPage), kPage, protection) != 0) abort();
}

void PinnedMemory::Hold(const void* address, uint64_t size, Access access) {
  const auto it = blocks_.find(Find(address, size)->first);
  const uint64_t first = reinterpret_cast<uint64_t>(address) - it->first;
  auto& copies = access == Access::kRead ? it->second.reading : it->second.writing;
  for (uint64_t page = first / kPage; page <= (first + size - 1) / kPage; ++page) {
    ++copies[page];
    Protect(it->first, it->second, page);
  }
}

void PinnedMemory::Release(const void* address, uint64_t size, Access access) {
  const auto it = blocks_.find(Find(address, size)->first);
  const uint64_t first = reinterpret_cast<uint64_t>(address) - it->first;
  auto& copies = access == Access::kRead ? it->second.reading : it->second.writing;
  for (uint64_t page = first / kPage; page <= (first + size - 1) / kPage; ++page) {
    if (--copies[page] == 0) copies.erase(page);
    Protect(it->first, it->second, page);
  }
}

bool PinnedMemory::Busy(const void* address) const {
  const auto it = Find(address, 0);
  return it != blocks_.end() && !(it->second.reading.empty() && it->second.writing.empty());
}

uint64_t PinnedMemory::SizeOf(const void* address) const {
  const auto it = blocks_.find(reinterpret_cast<uint64_t>(address));
  return it == blocks_.end() ? 0 : it->second.size;
}

PinTime& PinTime::Get() {
  static auto* const time = new PinTime();
  return *time;
}

PinTime::PinTime() : microseconds_(Settings::Get().pin_us) {}

void PinTime::Set(uint64_t microseconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  microseconds_ = microseconds;
  changed_.notify_all();
}

void PinTime::Take(uint64_t size) {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock<std::mutex> lock(mutex_);
  while (microseconds_ != 0) {
    const auto end = begin + std::chrono::microseconds(microseconds_ * size / (1 << 20));
    if (changed_.wait_until(lock, end) == std::cv_status::timeout) return;
  }
}

}  // namespace simgpu
