// Device memory at addresses that fault when the host touches them, and pinned
// host memory that faults while a copy is under way.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_MEMORY_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_MEMORY_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace simgpu {

// The memory of all devices: one reservation of addresses that nobody can
// read, and behind it host memory of the same size that only the simulator
// knows. All calls are made under the lock.
class DeviceMemory {
 public:
  static DeviceMemory& Get();

  // Returns an address of size bytes, 0 where there is no room left.
  uint64_t Allocate(int device, uint64_t size);
  // False where no allocation begins at the address.
  bool Free(uint64_t address);
  // The host memory behind size bytes, nullptr where they are not all within
  // one allocation.
  void* Host(uint64_t address, uint64_t size) const;
  // Which device an address belongs to, -1 for none.
  int DeviceOf(uint64_t address) const;
  uint64_t Used(int device) const;

 private:
  DeviceMemory();

  uint64_t size_;  // of one device
  uint64_t reserved_;
  unsigned char* host_;
  std::map<uint64_t, uint64_t> allocations_;  // size by address
};

// What a copy does to its host side while it is under way.
enum class Access { kRead, kWrite };

// Pinned memory. All calls are made under the lock.
class PinnedMemory {
 public:
  static PinnedMemory& Get();

  void* Allocate(uint64_t size);
  bool Free(void* address);
  // False where the bytes are not all pinned.
  bool Contains(const void* address, uint64_t size) const;
  // From here on until Release the program must not write these bytes, nor
  // read them where the copy writes them: it faults. Whole pages are closed,
  // so neighbors in a page are too.
  void Hold(const void* address, uint64_t size, Access access);
  void Release(const void* address, uint64_t size, Access access);
  bool Busy(const void* address) const;
  uint64_t SizeOf(const void* address) const;  // 0 where no pinned memory begins there
  // Where the simulator itself finds the bytes.
  void* Own(const void* address) const;

 private:
  struct Block {
    uint64_t size;
    unsigned char* own;
    std::map<uint64_t, int> reading, writing;  // copies under way, by page
  };
  std::map<uint64_t, Block>::const_iterator Find(const void* address, uint64_t size) const;
  static void Protect(uint64_t address, const Block& block, uint64_t page);

  std::map<uint64_t, Block> blocks_;
};

// How long it takes to pin memory and to let go of it. Calls are made without the lock.
class PinTime {
 public:
  static PinTime& Get();

  // Sets the microseconds of a MiB, also for those who are taking their time.
  void Set(uint64_t microseconds);
  void Take(uint64_t size);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t microseconds_;  // SIMGPU_PIN_US

  PinTime();
};

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_MEMORY_H_
