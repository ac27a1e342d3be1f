#include "calls.h"

#include <string>
#include <thread>
#include <vector>

#include "memory.h"

namespace simgpu {

std::vector<Device*>& Contexts() {
  thread_local std::vector<Device*> contexts;
  return contexts;
}

Device* Current() { return Contexts().empty() ? nullptr : Contexts().back(); }

Device* DeviceAt(int ordinal) {
  static auto* const devices = [] {
    auto* all = new std::vector<Device>();
    for (int i = 0; i < Settings::Get().devices; ++i) all->push_back({i});
    return all;
  }();
  return ordinal < 0 || ordinal >= static_cast<int>(devices->size()) ? nullptr : &(*devices)[ordinal];
}

std::set<const void*>& Made() {
  static auto* const made = new std::set<const void*>();
  return *made;
}

bool IsMade(const void* handle) {
  const Guard guard(Lock());
  return Made().count(handle) != 0;
}

void Register(const void* handle, int64_t Counts::* count) {
  const Guard guard(Lock());
  Made().insert(handle);
  ++(Live().*count);
}

bool Unregister(const void* handle, int64_t Counts::* count, const char* call) {
  const Guard guard(Lock());
  if (Made().erase(handle) == 0) {
    Violation(std::string(call) + " of something that is not there");
    return false;
  }
  --(Live().*count);
  return true;
}

CUresult CheckContext(const char* call) {
  const Device* const current = Current();
  if (current == nullptr) {
    Violation(std::string(call) + " with no context current on its thread");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  const Guard guard(Lock());
  if (current->retained == 0) {
    Violation(std::string(call) + " in a context that was released");
    return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  }
  return static_cast<CUresult>(current->lost);
}

CUresult Find(CUstream handle, const char* call, Stream** stream) {
  if (!IsMade(handle)) {
    Violation(std::string(call) + " on a stream that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *stream = reinterpret_cast<Stream*>(handle);
  if ((*stream)->Capturing() && (*stream)->capturer != std::this_thread::get_id()) {
    Violation(std::string(call) + " on a stream that another thread captures");
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  if ((*stream)->device != Current()->ordinal) {
    Violation(std::string(call) + " on a stream of another device than the current one");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return (*stream)->CaptureFailed() ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}

std::set<Stream*>& CapturesOfThread() {
  thread_local std::set<Stream*> captures;
  return captures;
}

CUresult EndCapturesOfThread() {
  for (Stream* stream : CapturesOfThread()) stream->FailCapture();
  return CapturesOfThread().empty() ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

void WaitFor(int device) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    const Guard guard(Lock());
    for (const auto& [handle, stream] : Streams()) {
      if (stream->device == device) streams.push_back(stream);
    }
  }
  for (const auto& stream : streams) stream->Wait();
}

CUresult AfterWaiting(int device) {
  const Guard guard(Lock());
  Device* const of = DeviceAt(device);
  if (of->faulted && of->lost == 0) of->lost = of->fault;
  return static_cast<CUresult>(of->lost);
}

CUresult NotWhileCapturing(const char* call, const Stream* stream) {
  if (!stream->Capturing()) return CUDA_SUCCESS;
  Violation(std::string(call) + " while the stream captures");
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

bool OfDevice(uint64_t address, uint64_t size, int device, const char* call) {
  const Guard guard(Lock());
  if (DeviceMemory::Get().Host(address, size) == nullptr) {
    Violation(std::string(call) + ": these bytes of the device are not all allocated");
    return false;
  }
  if (DeviceMemory::Get().DeviceOf(address) != device) {
    Violation(std::string(call) + ": these bytes are another device's");
    return false;
  }
  return true;
}

std::map<const void*, std::shared_ptr<Stream>>& Streams() {
  static auto* const streams = new std::map<const void*, std::shared_ptr<Stream>>();
  return *streams;
}

}  // namespace simgpu
