// The calls of libcuda.so.1 about devices, contexts and memory. Each checks what
// a real driver would trip over, or would silently get wrong.
#include <cuda.h>

#include <cstring>
#include <string>

#include "../simgpu.h"
#include "calls.h"
#include "memory.h"

using namespace simgpu;  // the calls are the simulator's own

namespace {

bool IsPinned(const void* address, uint64_t size, const char* call) {
  const Guard guard(Lock());
  if (PinnedMemory::Get().Contains(address, size)) return true;
  Violation(std::string(call) + " with host memory that is not pinned");
  return false;
}

// A copy between pinned and device memory.
Work Copy(void* host, CUdeviceptr device, size_t size, Access access) {
  Work work;
  work.uses = {{device, size}};
  work.start = [=] {
    const Guard guard(Lock());
    PinnedMemory::Get().Hold(host, size, access);
  };
  work.run = [=](bool whole) {
    const size_t bytes = whole ? size : size / 2;
    void* own = nullptr;
    void* there = nullptr;
    {
      const Guard guard(Lock());
      own = PinnedMemory::Get().Own(host);
      there = DeviceMemory::Get().Host(device, size);
    }
    if (there == nullptr) {
      Violation("a copy uses device memory that was freed before its turn");
    } else if (access == Access::kRead) {
      memcpy(there, own, bytes);
    } else {
      memcpy(own, there, bytes);
    }
  };
  work.finish = [=] {
    const Guard guard(Lock());
    PinnedMemory::Get().Release(host, size, access);
  };
  return work;
}

}  // namespace

EXPORT void simgpu_lose(int device, int status) {
  const Guard guard(Lock());
  Device* const lost = DeviceAt(device);
  if (lost == nullptr) return;
  lost->lost = status;
  lost->fault_in = 0;
  lost->faulted = false;
}

EXPORT void simgpu_fault(int device, int64_t nth, int status) {
  const Guard guard(Lock());
  Device* const lost = DeviceAt(device);
  if (lost == nullptr) return;
  lost->fault_in = nth;
  lost->fault = status;
}

EXPORT int simgpu_describe(int device, struct simgpu_device* is) {
  if (DeviceAt(device) == nullptr) return 0;
  const Settings& settings = Settings::Get();
  memset(is->uuid, 'a' + device, sizeof is->uuid);
  is->parts = settings.mig_device == device ? settings.mig_parts : 0;
  is->memory = settings.memory;
  const Guard guard(Lock());
  is->used = DeviceMemory::Get().Used(device);
  return 1;
}

EXPORT void simgpu_pin(int64_t microseconds) { PinTime::Get().Set(static_cast<uint64_t>(microseconds)); }

EXPORT void simgpu_fail_device(uint64_t address, int status) {
  int device = 0;
  {
    const Guard guard(Lock());
    device = DeviceMemory::Get().DeviceOf(address);
  }
  simgpu_lose(device, status);
}

// --- the driver and its devices ---

EXPORT CUresult cuInit(unsigned int) {
  ENTER("cuInit");
  return Settings::Get().devices == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
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
    NAME(CUDA_ERROR_DEVICE_UNAVAILABLE);
    NAME(CUDA_ERROR_ECC_UNCORRECTABLE);
    NAME(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    NAME(CUDA_ERROR_ILLEGAL_ADDRESS);
    NAME(CUDA_ERROR_LAUNCH_FAILED);
    NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    NAME(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    NAME(CUDA_ERROR_UNKNOWN);
#undef NAME
    default:
      *name = "CUDA_ERROR_OF_THE_SIMULATION";
      return CUDA_SUCCESS;
  }
}

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

EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  ENTER("cuDeviceGetUuid");
  if (DeviceAt(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  simgpu_device is{};
  simgpu_describe(device, &is);
  memcpy(uuid->bytes, is.uuid, sizeof uuid->bytes);
  if (is.parts > 0) uuid->bytes[15] = 0;  // the first part's
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
  // a fault that no call has found is not forgotten with the context
  if (of->retained == 0 && of->faulted && of->lost == 0) of->lost = of->fault;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent(CUcontext context) {
  ENTER("cuCtxPushCurrent");
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Contexts().push_back(reinterpret_cast<Device*>(context));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent(CUcontext* context) {
  ENTER("cuCtxPopCurrent");
  if (Contexts().empty()) {
    Violation("cuCtxPopCurrent with no context current on its thread");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (context != nullptr) *context = reinterpret_cast<CUcontext>(Current());
  Contexts().pop_back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  ENTER("cuCtxGetCurrent");
  *context = reinterpret_cast<CUcontext>(Current());
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  ENTER("cuCtxSetCurrent");
  if (!Contexts().empty()) Contexts().pop_back();
  if (context != nullptr) Contexts().push_back(reinterpret_cast<Device*>(context));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() {
  NEED_CONTEXT("cuCtxSynchronize");
  const int device = Current()->ordinal;
  NOT_WHILE_THREAD_CAPTURES();
  bool captured = false;
  {
    // those of other threads too: it would wait for what is not to be done
    const Guard guard(Lock());
    for (const auto& [handle, stream] : Streams()) {
      if (stream->device != device || !stream->Capturing()) continue;
      stream->FailCapture();
      captured = true;
    }
  }
  if (captured) {
    Violation("cuCtxSynchronize ends the capture of another thread");
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  WaitFor(device);
  return AfterWaiting(device);
}

// --- memory ---

EXPORT CUresult cuMemGetInfo(size_t* free, size_t* total) {
  NEED_CONTEXT("cuMemGetInfo");
  const Guard guard(Lock());
  *total = Settings::Get().memory;
  *free = *total - DeviceMemory::Get().Used(Current()->ordinal);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc(CUdeviceptr* address, size_t size) {
  NEED_CONTEXT("cuMemAlloc");
  NOT_WHILE_THREAD_CAPTURES();
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  const Guard guard(Lock());
  *address = DeviceMemory::Get().Allocate(Current()->ordinal, size);
  if (*address == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  ++Live().allocations;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree(CUdeviceptr address) {
  NEED_CONTEXT_TO_FREE(lost, "cuMemFree");
  NOT_WHILE_THREAD_CAPTURES();
  WaitFor(Current()->ordinal);
  const CUresult status = AfterWaiting(Current()->ordinal);
  const Guard guard(Lock());
  for (const auto& [handle, stream] : Streams()) {  // as another thread has it do meanwhile
    if (stream->Uses(address, 1)) Violation("cuMemFree of memory that a stream still uses");
  }
  if (!DeviceMemory::Get().Free(address)) {
    Violation("cuMemFree of something that is not allocated");
    return CUDA_ERROR_INVALID_VALUE;
  }
  --Live().allocations;
  return lost != CUDA_SUCCESS ? lost : status;
}

EXPORT CUresult cuMemHostAlloc(void** address, size_t size, unsigned int) {
  NEED_CONTEXT("cuMemHostAlloc");
  NOT_WHILE_THREAD_CAPTURES();
  PinTime::Get().Take(size);
  const Guard guard(Lock());
  *address = PinnedMemory::Get().Allocate(size);
  if (*address == nullptr) return size == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
  ++Live().pinned;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* address) {
  NEED_CONTEXT_TO_FREE(lost, "cuMemFreeHost");
  NOT_WHILE_THREAD_CAPTURES();
  WaitFor(Current()->ordinal);
  const CUresult status = AfterWaiting(Current()->ordinal);
  uint64_t size = 0;
  {
    const Guard guard(Lock());
    size = PinnedMemory::Get().SizeOf(address);
  }
  PinTime::Get().Take(size);
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
  return lost != CUDA_SUCCESS ? lost : status;
}

EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t size, CUstream handle) {
  NEED_CONTEXT("cuMemcpyHtoDAsync");
  NEED_STREAM(stream, handle, "cuMemcpyHtoDAsync");
  if (size == 0) return CUDA_SUCCESS;
  if (!IsPinned(from, size, "cuMemcpyHtoDAsync") || !OfDevice(to, size, stream->device, "cuMemcpyHtoDAsync")) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream->Put(Copy(const_cast<void*>(from), to, size, Access::kRead));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t size, CUstream handle) {
  NEED_CONTEXT("cuMemcpyDtoHAsync");
  NEED_STREAM(stream, handle, "cuMemcpyDtoHAsync");
  if (size == 0) return CUDA_SUCCESS;
  if (!IsPinned(to, size, "cuMemcpyDtoHAsync") || !OfDevice(from, size, stream->device, "cuMemcpyDtoHAsync")) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream->Put(Copy(to, from, size, Access::kWrite));
  return CUDA_SUCCESS;
}
