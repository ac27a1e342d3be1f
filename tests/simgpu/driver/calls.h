// What the driver's calls check before they do anything.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_CALLS_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_CALLS_H_

#include <cuda.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "sim.h"
#include "stream.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// Counts the call, and returns where it was told to fail.
#define ENTER(call)                                                 \
  do {                                                              \
    if (const CUresult status = simgpu::Enter(call)) return status; \
  } while (false)

// Returns where the thread has no context, or one of a lost device.
#define NEED_CONTEXT(call)                                                 \
  do {                                                                     \
    ENTER(call);                                                           \
    if (const CUresult status = simgpu::CheckContext(call)) return status; \
  } while (false)

// As NEED_CONTEXT, for calls that wait, on a lost device too.
#define NEED_CONTEXT_TO_WAIT(call)                                                                               \
  ENTER(call);                                                                                                   \
  do {                                                                                                           \
    if (const CUresult status = simgpu::CheckContext(call); status == CUDA_ERROR_INVALID_CONTEXT) return status; \
  } while (false)

// As NEED_CONTEXT, for calls that free: what a lost device had is gone with it, so that they free and then return what
// it is lost by, which they declare.
#define NEED_CONTEXT_TO_FREE(lost, call)                                                                \
  ENTER(call);                                                                                          \
  const CUresult lost = simgpu::CheckContext(call);                                                     \
  do {                                                                                                  \
    if ((lost) == CUDA_ERROR_INVALID_CONTEXT || (lost) == CUDA_ERROR_CONTEXT_IS_DESTROYED) return lost; \
  } while (false)

// Returns, and ends the captures of this thread, where there are any: the driver calls these "potentially unsafe"
// calls, since a graph would not do again what they do.
#define NOT_WHILE_THREAD_CAPTURES()                                                                   \
  do {                                                                                                \
    if (const CUresult status = simgpu::EndCapturesOfThread(); status != CUDA_SUCCESS) return status; \
  } while (false)

// Declares the stream behind a handle; returns where it cannot be used.
#define NEED_STREAM(stream, handle, call) \
  simgpu::Stream* stream = nullptr;       \
  if (const CUresult status = simgpu::Find(handle, call, &(stream))) return status

namespace simgpu {

using Guard = std::lock_guard<std::mutex>;

struct Device {
  int ordinal;
  int retained = 0;
  int lost = 0;  // CUresult of every call, until it is given back
  // What it will be lost by: a fault of the work that comes after so many others. It is found by the next call that
  // waits.
  int64_t fault_in = 0;  // 0 where none is to come
  int fault = 0;         // CUresult
  bool faulted = false;
};

Device* DeviceAt(int ordinal);
// The contexts of this thread; the last one is current.
std::vector<Device*>& Contexts();
Device* Current();  // nullptr where there is none

// What was made and not yet destroyed, by address. Under the lock.
std::set<const void*>& Made();
bool IsMade(const void* handle);
void Register(const void* handle, int64_t Counts::* count);
// False where it was not made here, or was destroyed before.
bool Unregister(const void* handle, int64_t Counts::* count, const char* call);

CUresult CheckContext(const char* call);
// The stream behind a handle, if it is one of the current device's and this
// thread may use it now.
CUresult Find(CUstream handle, const char* call, Stream** stream);
// A call that the driver refuses while a stream captures.
CUresult NotWhileCapturing(const char* call, const Stream* stream);
CUresult EndCapturesOfThread();
// The streams that this thread captures.
std::set<Stream*>& CapturesOfThread();
// Waits for all that the device's streams had to do when it was called.
void WaitFor(int device);
// What a call returns that has waited: what the device is lost by.
CUresult AfterWaiting(int device);
// Whether these bytes are all a device's.
bool OfDevice(uint64_t address, uint64_t size, int device, const char* call);
// Every stream that lives. Under the lock. Who waits for one holds it.
std::map<const void*, std::shared_ptr<Stream>>& Streams();

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_CALLS_H_
