// The calls of libcuda.so.1 that trtdet uses. Each checks what a real driver
// would trip over, or would silently get wrong.
#include <cuda.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "../simgpu.h"
#include "kernels.h"
#include "memory.h"
#include "sim.h"
#include "stream.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// Counts the call, and returns where it was told to fail.
#define ENTER(call)                                                 \
  do {                                                              \
    if (const CUresult status = simgpu::Enter(call)) return status; \
  } while (false)

// Returns where the thread has no context, or one of a lost device.
#define NEED_CONTEXT(call)                                         \
  do {                                                             \
    ENTER(call);                                                   \
    if (const CUresult status = CheckContext(call)) return status; \
  } while (false)

using simgpu::DeviceMemory;
using simgpu::Event;
using simgpu::Graph;
using simgpu::Live;
using simgpu::Lock;
using simgpu::PinnedMemory;
using simgpu::Settings;
using simgpu::Stream;
using simgpu::Violation;
using simgpu::Work;
using Guard = std::lock_guard<std::mutex>;

namespace {

struct Device {
  int ordinal;
  int retained = 0;
  int lost = 0;  // CUresult
};

struct Module {
  int device;
  std::set<CUfunction> functions;
};

struct Function {
  std::string name;
  simgpu::Kernel kernel;
  int device;
};

struct Executable {
  std::vector<Work> work;
  int device;
};

Device* DeviceAt(int ordinal) {
  static auto* const devices = [] {
    auto* all = new std::vector<Device>();
    for (int i = 0; i < Settings::Get().devices; ++i) all->push_back({i});
    return all;
  }();
  return ordinal < 0 || ordinal >= static_cast<int>(devices->size()) ? nullptr : &(*devices)[ordinal];
}

thread_local Device* current = nullptr;

// What was made and not yet destroyed, by address. Under the lock.
std::set<const void*>& Made() {
  static auto* const made = new std::set<const void*>();
  return *made;
}

bool IsMade(const void* handle) {
  const Guard guard(Lock());
  return Made().count(handle) != 0;
}

template <typename T>
void Register(T* handle, int64_t simgpu::Counts::* count) {
  const Guard guard(Lock());
  Made().insert(handle);
  ++(Live().*count);
}

// False where it was not made here, or was destroyed before.
bool Unregister(const void* handle, int64_t simgpu::Counts::* count, const char* call) {
  const Guard guard(Lock());
  if (Made().erase(handle) == 0) {
    Violation(std::string(call) + " of something that is not there");
    return false;
  }
  --(Live().*count);
  return true;
}

CUresult CheckContext(const char* call) {
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

// The stream behind a handle, if it is one of the current device's and this
// thread may use it now.
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
  if ((*stream)->device != current->ordinal) {
    Violation(std::string(call) + " on a stream of another device than the current one");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return CUDA_SUCCESS;
}

// A call that the driver refuses while this thread captures, and with it the
// capture.
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

bool IsPinned(const void* address, uint64_t size, const char* call) {
  const Guard guard(Lock());
  if (PinnedMemory::Get().Contains(address, size)) return true;
  Violation(std::string(call) + " with host memory that is not pinned");
  return false;
}

// A copy between pinned and device memory.
Work Copy(void* host, CUdeviceptr device, size_t size, simgpu::Access access) {
  Work work;
  work.uses = {{device, size}};
  work.start = [=] {
    const Guard guard(Lock());
    PinnedMemory::Get().Hold(host, size, access);
  };
  work.run = [=] {
    void* own = nullptr;
    void* there = nullptr;
    {
      const Guard guard(Lock());
      own = PinnedMemory::Get().Own(host);
      there = DeviceMemory::Get().Host(device, size);
    }
    if (there == nullptr) {
      Violation("a copy uses device memory that was freed before its turn");
    } else if (access == simgpu::Access::kRead) {
      memcpy(there, own, size);
    } else {
      memcpy(own, there, size);
    }
    const Guard guard(Lock());
    PinnedMemory::Get().Release(host, size, access);
  };
  return work;
}

// Every stream that lives, for MemFree. Under the lock.
std::set<Stream*>& Streams() {
  static auto* const streams = new std::set<Stream*>();
  return *streams;
}

}  // namespace

EXPORT void simgpu_lose(int device, int status) {
  const Guard guard(Lock());
  if (Device* lost = DeviceAt(device)) lost->lost = status;
}

// --- the driver and its devices ---

EXPORT CUresult cuInit(unsigned int) {
  ENTER("cuInit");
  return Settings::Get().devices == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int* version) {
  ENTER("cuDriverGetVersion");
  *version = 13000;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
  switch (error) {
#define NAME(status) \
  case status:       \
    *name = #status; \
    return CUDA_SUCCESS
    NAME(CUDA_SUCCESS);
    NAME(CUDA_ERROR_INVALID_VALUE);
    NAME(CUDA_ERROR_OUT_OF_MEMORY);
    NAME(CUDA_ERROR_NO_DEVICE);
    NAME(CUDA_ERROR_INVALID_DEVICE);
    NAME(CUDA_ERROR_INVALID_CONTEXT);
    NAME(CUDA_ERROR_INVALID_HANDLE);
    NAME(CUDA_ERROR_INVALID_IMAGE);
    NAME(CUDA_ERROR_NOT_FOUND);
    NAME(CUDA_ERROR_ILLEGAL_ADDRESS);
    NAME(CUDA_ERROR_LAUNCH_FAILED);
    NAME(CUDA_ERROR_ECC_UNCORRECTABLE);
    NAME(CUDA_ERROR_UNKNOWN);
#undef NAME
    default:
      *name = "CUDA_ERROR_OF_THE_SIMULATION";
      return CUDA_SUCCESS;
  }
}

EXPORT CUresult cuGetErrorString(CUresult error, const char** text) { return cuGetErrorName(error, text); }

EXPORT CUresult cuDeviceGetCount(int* count) {
  ENTER("cuDeviceGetCount");
  *count = Settings::Get().devices;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  ENTER("cuDeviceGet");
  if (DeviceAt(ordinal) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  ENTER("cuDeviceGetName");
  if (DeviceAt(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  strncpy(name, "simulated GPU", static_cast<size_t>(length));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  ENTER("cuDeviceGetAttribute");
  if (DeviceAt(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = 8;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = 9;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      *value = device;
      return CUDA_SUCCESS;
    default:
      *value = 0;
      return CUDA_SUCCESS;
  }
}

EXPORT CUresult cuDeviceTotalMem(size_t* bytes, CUdevice device) {
  ENTER("cuDeviceTotalMem");
  if (DeviceAt(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = Settings::Get().memory;
  return CUDA_SUCCESS;
}

// --- contexts ---

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  ENTER("cuDevicePrimaryCtxRetain");
  Device* const of = DeviceAt(device);
  if (of == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const Guard guard(Lock());
  if (of->lost != 0) return static_cast<CUresult>(of->lost);
  ++of->retained;
  ++Live().contexts;
  *context = reinterpret_cast<CUcontext>(of);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  ENTER("cuDevicePrimaryCtxRelease");
  Device* const of = DeviceAt(device);
  if (of == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const Guard guard(Lock());
  if (of->retained == 0) {
    Violation("cuDevicePrimaryCtxRelease of a context that is not retained");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  --of->retained;
  --Live().contexts;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  ENTER("cuCtxSetCurrent");
  current = reinterpret_cast<Device*>(context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  ENTER("cuCtxGetCurrent");
  *context = reinterpret_cast<CUcontext>(current);
  return CUDA_SUCCESS;
}

// --- memory ---

EXPORT CUresult cuMemGetInfo(size_t* free, size_t* total) {
  NEED_CONTEXT("cuMemGetInfo");
  const Guard guard(Lock());
  *total = Settings::Get().memory;
  *free = *total - DeviceMemory::Get().Used(current->ordinal);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc(CUdeviceptr* address, size_t size) {
  NEED_CONTEXT("cuMemAlloc");
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  const Guard guard(Lock());
  *address = DeviceMemory::Get().Allocate(current->ordinal, size);
  if (*address == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  ++Live().allocations;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree(CUdeviceptr address) {
  NEED_CONTEXT("cuMemFree");
  const Guard guard(Lock());
  for (Stream* stream : Streams()) {
    if (stream->Uses(address, 1)) Violation("cuMemFree of memory that a stream still uses");
  }
  if (!DeviceMemory::Get().Free(address)) {
    Violation("cuMemFree of something that is not allocated");
    return CUDA_ERROR_INVALID_VALUE;
  }
  --Live().allocations;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void** address, size_t size, unsigned int) {
  NEED_CONTEXT("cuMemHostAlloc");
  const Guard guard(Lock());
  *address = PinnedMemory::Get().Allocate(size);
  if (*address == nullptr) return size == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
  ++Live().pinned;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* address) {
  NEED_CONTEXT("cuMemFreeHost");
  const Guard guard(Lock());
  if (PinnedMemory::Get().Busy(address)) {
    Violation("cuMemFreeHost of memory that a copy still uses");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!PinnedMemory::Get().Free(address)) {
    Violation("cuMemFreeHost of something that is not pinned");
    return CUDA_ERROR_INVALID_VALUE;
  }
  --Live().pinned;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t size, CUstream handle) {
  NEED_CONTEXT("cuMemcpyHtoDAsync");
  Stream* stream = nullptr;
  if (const CUresult status = Find(handle, "cuMemcpyHtoDAsync", &stream)) return status;
  if (size == 0) return CUDA_SUCCESS;
  if (!IsPinned(from, size, "cuMemcpyHtoDAsync") || !OfDevice(to, size, stream->device, "cuMemcpyHtoDAsync")) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream->Put(Copy(const_cast<void*>(from), to, size, simgpu::Access::kRead));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t size, CUstream handle) {
  NEED_CONTEXT("cuMemcpyDtoHAsync");
  Stream* stream = nullptr;
  if (const CUresult status = Find(handle, "cuMemcpyDtoHAsync", &stream)) return status;
  if (size == 0) return CUDA_SUCCESS;
  if (!IsPinned(to, size, "cuMemcpyDtoHAsync") || !OfDevice(from, size, stream->device, "cuMemcpyDtoHAsync")) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream->Put(Copy(to, from, size, simgpu::Access::kWrite));
  return CUDA_SUCCESS;
}

// --- streams and events ---

EXPORT CUresult cuStreamCreate(CUstream* handle, unsigned int) {
  NEED_CONTEXT("cuStreamCreate");
  auto* const stream = new Stream(current->ordinal);
  Register(stream, &simgpu::Counts::streams);
  const Guard guard(Lock());
  Streams().insert(stream);
  *handle = reinterpret_cast<CUstream>(stream);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy(CUstream handle) {
  NEED_CONTEXT("cuStreamDestroy");
  if (!Unregister(handle, &simgpu::Counts::streams, "cuStreamDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  auto* const stream = reinterpret_cast<Stream*>(handle);
  {
    const Guard guard(Lock());
    Streams().erase(stream);
  }
  delete stream;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  ENTER("cuStreamSynchronize");
  if (!IsMade(handle)) {
    Violation("cuStreamSynchronize on a stream that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  auto* const stream = reinterpret_cast<Stream*>(handle);
  if (const CUresult status = NotWhileCapturing("cuStreamSynchronize", stream)) return status;
  stream->Wait();
  const Guard guard(Lock());
  return static_cast<CUresult>(DeviceAt(stream->device)->lost);
}

EXPORT CUresult cuStreamQuery(CUstream handle) {
  ENTER("cuStreamQuery");
  if (!IsMade(handle)) return CUDA_ERROR_INVALID_HANDLE;
  return reinterpret_cast<Stream*>(handle)->Idle() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

EXPORT CUresult cuEventCreate(CUevent* handle, unsigned int) {
  NEED_CONTEXT("cuEventCreate");
  auto* const event = new Event();
  Register(event, &simgpu::Counts::events);
  *handle = reinterpret_cast<CUevent>(event);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy(CUevent handle) {
  NEED_CONTEXT("cuEventDestroy");
  if (!Unregister(handle, &simgpu::Counts::events, "cuEventDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Event*>(handle);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent handle, CUstream on) {
  NEED_CONTEXT("cuEventRecord");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuEventRecord", &stream)) return status;
  if (!IsMade(handle)) {
    Violation("cuEventRecord of an event that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  Work work;
  work.run = [mark = reinterpret_cast<Event*>(handle)->Next()] { mark->Reach(); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent handle) {
  ENTER("cuEventSynchronize");
  if (!IsMade(handle)) {
    Violation("cuEventSynchronize of an event that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (const auto mark = reinterpret_cast<Event*>(handle)->Last()) mark->Wait();
  const Guard guard(Lock());
  return current == nullptr ? CUDA_SUCCESS : static_cast<CUresult>(current->lost);
}

EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  ENTER("cuEventElapsedTime");
  if (!IsMade(from) || !IsMade(to)) return CUDA_ERROR_INVALID_HANDLE;
  const auto first = reinterpret_cast<Event*>(from)->Last();
  const auto second = reinterpret_cast<Event*>(to)->Last();
  if (first == nullptr || second == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (!first->reached || !second->reached) return CUDA_ERROR_NOT_READY;
  *milliseconds = static_cast<float>(second->nanoseconds - first->nanoseconds) / 1e6f;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent from, CUevent to) {
  return cuEventElapsedTime(milliseconds, from, to);
}

EXPORT CUresult cuStreamWaitEvent(CUstream on, CUevent handle, unsigned int) {
  NEED_CONTEXT("cuStreamWaitEvent");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuStreamWaitEvent", &stream)) return status;
  if (!IsMade(handle)) return CUDA_ERROR_INVALID_HANDLE;
  if (const auto mark = reinterpret_cast<Event*>(handle)->Last()) {
    Work work;
    work.run = [mark] { mark->Wait(); };
    stream->Put(std::move(work));
  }
  return CUDA_SUCCESS;
}

// --- kernels ---

EXPORT CUresult cuModuleLoadData(CUmodule* handle, const void* image) {
  NEED_CONTEXT("cuModuleLoadData");
  // a fat binary's magic number, as nvcc writes it
  constexpr uint32_t kFatBinary = 0xba55ed50;
  uint32_t magic = 0;
  memcpy(&magic, image, sizeof magic);
  if (magic != kFatBinary) return CUDA_ERROR_INVALID_IMAGE;
  auto* const module = new Module{current->ordinal, {}};
  Register(module, &simgpu::Counts::modules);
  *handle = reinterpret_cast<CUmodule>(module);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction* handle, CUmodule module, const char* name) {
  NEED_CONTEXT("cuModuleGetFunction");
  if (!IsMade(module)) return CUDA_ERROR_INVALID_HANDLE;
  const simgpu::Kernel kernel = simgpu::FindKernel(name);
  if (kernel == nullptr) return CUDA_ERROR_NOT_FOUND;
  *handle = reinterpret_cast<CUfunction>(new Function{name, kernel, current->ordinal});
  const Guard guard(Lock());
  Made().insert(*handle);
  reinterpret_cast<Module*>(module)->functions.insert(*handle);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule handle) {
  NEED_CONTEXT("cuModuleUnload");
  if (!Unregister(handle, &simgpu::Counts::modules, "cuModuleUnload")) return CUDA_ERROR_INVALID_HANDLE;
  auto* const module = reinterpret_cast<Module*>(handle);
  const Guard guard(Lock());
  for (CUfunction function : module->functions) {
    Made().erase(function);
    delete reinterpret_cast<Function*>(function);
  }
  delete module;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction handle, unsigned int x, unsigned int y, unsigned int z, unsigned int block_x,
                               unsigned int block_y, unsigned int block_z, unsigned int, CUstream on, void** parameters,
                               void**) {
  NEED_CONTEXT("cuLaunchKernel");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuLaunchKernel", &stream)) return status;
  if (!IsMade(handle)) {
    Violation("cuLaunchKernel of a kernel that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const auto* const function = reinterpret_cast<const Function*>(handle);
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 || block_x * block_y * block_z - 1 > 1023) {
    Violation("cuLaunchKernel with a grid or block that no GPU takes");
    return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t block = 0;
  memcpy(&block, parameters[0], sizeof block);
  if (!OfDevice(block, 1, stream->device, "cuLaunchKernel")) return CUDA_ERROR_INVALID_VALUE;
  Work work;
  work.uses = {{block, 1}};
  // the decode kernel's y is its view
  work.run = [kernel = function->kernel, block, y] { kernel(block, y); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchHostFunc(CUstream on, CUhostFn function, void* data) {
  NEED_CONTEXT("cuLaunchHostFunc");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuLaunchHostFunc", &stream)) return status;
  Work work;
  work.run = [=] { function(data); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

// --- graphs ---

EXPORT CUresult cuStreamBeginCapture(CUstream on, CUstreamCaptureMode mode) {
  NEED_CONTEXT("cuStreamBeginCapture");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuStreamBeginCapture", &stream)) return status;
  if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) {
    Violation("cuStreamBeginCapture in a mode that lets other threads break the capture");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (const CUresult status = NotWhileCapturing("cuStreamBeginCapture", stream)) return status;
  stream->capturer = std::this_thread::get_id();
  stream->BeginCapture();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream on, CUgraph* handle) {
  if (const CUresult status = simgpu::Enter("cuStreamEndCapture")) {
    // a capture that fails has ended too
    if (IsMade(on)) reinterpret_cast<Stream*>(on)->EndCapture();
    return status;
  }
  if (const CUresult status = CheckContext("cuStreamEndCapture")) return status;
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuStreamEndCapture", &stream)) return status;
  if (!stream->Capturing()) {
    Violation("cuStreamEndCapture of a stream that does not capture");
    return CUDA_ERROR_ILLEGAL_STATE;
  }
  Graph* const graph = stream->EndCapture().release();
  Register(graph, &simgpu::Counts::graphs);
  *handle = reinterpret_cast<CUgraph>(graph);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* handle, CUgraph from, unsigned long long) {
  NEED_CONTEXT("cuGraphInstantiate");
  if (!IsMade(from)) return CUDA_ERROR_INVALID_HANDLE;
  auto* const executable = new Executable{reinterpret_cast<const Graph*>(from)->work, current->ordinal};
  Register(executable, &simgpu::Counts::executables);
  *handle = reinterpret_cast<CUgraphExec>(executable);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec handle, CUstream on) {
  NEED_CONTEXT("cuGraphLaunch");
  Stream* stream = nullptr;
  if (const CUresult status = Find(on, "cuGraphLaunch", &stream)) return status;
  if (!IsMade(handle)) {
    Violation("cuGraphLaunch of a graph that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (const CUresult status = NotWhileCapturing("cuGraphLaunch", stream)) return status;
  for (const Work& work : reinterpret_cast<const Executable*>(handle)->work) stream->Put(work);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph handle) {
  NEED_CONTEXT("cuGraphDestroy");
  if (!Unregister(handle, &simgpu::Counts::graphs, "cuGraphDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Graph*>(handle);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec handle) {
  NEED_CONTEXT("cuGraphExecDestroy");
  if (!Unregister(handle, &simgpu::Counts::executables, "cuGraphExecDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Executable*>(handle);
  return CUDA_SUCCESS;
}
