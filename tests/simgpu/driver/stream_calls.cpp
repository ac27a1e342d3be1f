// The calls of libcuda.so.1 about streams, events, kernels and graphs.
#include <cuda.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "calls.h"
#include "kernels.h"

using namespace simgpu;  // the calls are the simulator's own

namespace {

struct Module {
  std::set<CUfunction> functions;
};

struct Function {
  std::string name;
  Kernel kernel;
};

struct Executable {
  std::vector<Work> work;
};

}  // namespace

// --- streams and events ---

EXPORT CUresult cuStreamCreate(CUstream* handle, unsigned int) {
  NEED_CONTEXT("cuStreamCreate");
  const auto stream = std::make_shared<Stream>(Current()->ordinal);
  Register(stream.get(), &Counts::streams);
  const Guard guard(Lock());
  Streams()[stream.get()] = stream;
  *handle = reinterpret_cast<CUstream>(stream.get());
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy(CUstream handle) {
  NEED_CONTEXT_TO_FREE(lost, "cuStreamDestroy");
  if (!Unregister(handle, &Counts::streams, "cuStreamDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  CapturesOfThread().erase(reinterpret_cast<Stream*>(handle));
  std::shared_ptr<Stream> stream;  // gone, once all is done, when this ends
  const Guard guard(Lock());
  stream = std::move(Streams()[handle]);
  Streams().erase(handle);
  return lost;
}

EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  NEED_CONTEXT_TO_WAIT("cuStreamSynchronize");
  if (!IsMade(handle)) {
    Violation("cuStreamSynchronize on a stream that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  auto* const stream = reinterpret_cast<Stream*>(handle);
  NOT_WHILE_THREAD_CAPTURES();
  if (stream->Capturing()) {
    stream->FailCapture();
    Violation("cuStreamSynchronize ends the capture of another thread");
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  stream->Wait();
  return AfterWaiting(stream->device);
}

EXPORT CUresult cuEventCreate(CUevent* handle, unsigned int flags) {
  NEED_CONTEXT("cuEventCreate");
  auto* const event = new Event(Current()->ordinal, flags);
  Register(event, &Counts::events);
  *handle = reinterpret_cast<CUevent>(event);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy(CUevent handle) {
  NEED_CONTEXT_TO_FREE(lost, "cuEventDestroy");
  if (!Unregister(handle, &Counts::events, "cuEventDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Event*>(handle);
  return lost;
}

EXPORT CUresult cuEventRecord(CUevent handle, CUstream on) {
  NEED_CONTEXT("cuEventRecord");
  NEED_STREAM(stream, on, "cuEventRecord");
  if (!IsMade(handle)) {
    Violation("cuEventRecord of an event that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (const CUresult status = NotWhileCapturing("cuEventRecord", stream)) return status;
  Work work;
  work.marks = true;
  work.finish = [mark = reinterpret_cast<Event*>(handle)->Next()] { mark->Reach(); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecordWithFlags(CUevent handle, CUstream on, unsigned int flags) {
  NEED_CONTEXT("cuEventRecordWithFlags");
  NEED_STREAM(stream, on, "cuEventRecordWithFlags");
  if (!IsMade(handle)) {
    Violation("cuEventRecordWithFlags of an event that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (((flags & CU_EVENT_RECORD_EXTERNAL) != 0) != stream->Capturing()) {
    Violation("cuEventRecordWithFlags: external in a capture, and only there");
    return CUDA_ERROR_INVALID_VALUE;
  }
  Work work;
  work.marks = true;
  // of a graph, each launch reaches a mark of its own
  work.finish = [event = reinterpret_cast<Event*>(handle)] { event->Next()->Reach(); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  NEED_CONTEXT_TO_WAIT("cuEventElapsedTime");
  std::shared_ptr<Event::Mark> marks[2];
  for (int i = 0; i < 2; ++i) {
    CUevent const handle = i == 0 ? from : to;
    if (!IsMade(handle) || !reinterpret_cast<const Event*>(handle)->timed) {
      Violation("cuEventElapsedTime of an event that is not there or has no time");
      return CUDA_ERROR_INVALID_HANDLE;
    }
    {
      const Guard guard(Lock());
      if (const int lost = DeviceAt(reinterpret_cast<const Event*>(handle)->device)->lost) {
        return static_cast<CUresult>(lost);
      }
    }
    marks[i] = reinterpret_cast<Event*>(handle)->Last();
    if (marks[i] == nullptr || !marks[i]->Reached()) {
      Violation("cuEventElapsedTime of an event that has not been reached");
      return CUDA_ERROR_NOT_READY;
    }
  }
  *milliseconds = std::chrono::duration<float, std::milli>(marks[1]->when - marks[0]->when).count();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent handle) {
  NEED_CONTEXT_TO_WAIT("cuEventSynchronize");
  if (!IsMade(handle)) {
    Violation("cuEventSynchronize of an event that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  NOT_WHILE_THREAD_CAPTURES();
  auto* const event = reinterpret_cast<Event*>(handle);
  if (const auto mark = event->Last()) mark->Wait();
  return AfterWaiting(event->device);
}

// --- kernels ---

EXPORT CUresult cuModuleLoadData(CUmodule* handle, const void* image) {
  NEED_CONTEXT("cuModuleLoadData");
  // a fat binary's magic number, as nvcc writes it, or PTX
  constexpr uint32_t kFatBinary = 0xba55ed50;
  uint32_t magic = 0;
  memcpy(&magic, image, sizeof magic);
  const auto* const text = static_cast<const char*>(image);
  if (magic != kFatBinary && (strncmp(text, "//", 2) != 0 || strstr(text, "\n.version ") == nullptr)) {
    return CUDA_ERROR_INVALID_IMAGE;
  }
  auto* const module = new Module();
  Register(module, &Counts::modules);
  *handle = reinterpret_cast<CUmodule>(module);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule* handle, const void* image, unsigned int count, CUjit_option* options,
                                   void** values) {
  NEED_CONTEXT("cuModuleLoadDataEx");
  for (unsigned int i = 0; i + 1 < count; ++i) {
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER && options[i + 1] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
      snprintf(static_cast<char*>(values[i]), reinterpret_cast<size_t>(values[i + 1]), "ptxas fatal : simulated");
    }
  }
  return cuModuleLoadData(handle, image);
}

EXPORT CUresult cuModuleGetFunction(CUfunction* handle, CUmodule module, const char* name) {
  NEED_CONTEXT("cuModuleGetFunction");
  if (!IsMade(module)) return CUDA_ERROR_INVALID_HANDLE;
  const Kernel kernel = FindKernel(name);
  if (kernel == nullptr) return CUDA_ERROR_NOT_FOUND;
  *handle = reinterpret_cast<CUfunction>(new Function{name, kernel});
  const Guard guard(Lock());
  Made().insert(*handle);
  reinterpret_cast<Module*>(module)->functions.insert(*handle);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule handle) {
  NEED_CONTEXT_TO_FREE(lost, "cuModuleUnload");
  if (!Unregister(handle, &Counts::modules, "cuModuleUnload")) return CUDA_ERROR_INVALID_HANDLE;
  auto* const module = reinterpret_cast<Module*>(handle);
  const Guard guard(Lock());
  for (CUfunction function : module->functions) {
    Made().erase(function);
    delete reinterpret_cast<Function*>(function);
  }
  delete module;
  return lost;
}

EXPORT CUresult cuLaunchKernel(CUfunction handle, unsigned int x, unsigned int y, unsigned int z, unsigned int block_x,
                               unsigned int block_y, unsigned int block_z, unsigned int, CUstream on, void** parameters,
                               void**) {
  NEED_CONTEXT("cuLaunchKernel");
  NEED_STREAM(stream, on, "cuLaunchKernel");
  if (!IsMade(handle)) {
    Violation("cuLaunchKernel of a kernel that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const auto* const function = reinterpret_cast<const Function*>(handle);
  const Launch launch{{x, y, z}, {block_x, block_y, block_z}};
  if (!launch.Fits()) return CUDA_ERROR_INVALID_VALUE;
  uint64_t block = 0;
  memcpy(&block, parameters[0], sizeof block);
  if (!OfDevice(block, 1, stream->device, "cuLaunchKernel")) return CUDA_ERROR_INVALID_VALUE;
  Work work;
  work.uses = {{block, 1}};
  work.run = [kernel = function->kernel, block, launch](bool whole) { kernel(block, launch, whole); };
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

// Sleeps for as long as a network takes, from when the device is done with the one before.
static void TakeTime(int device) {
  static auto* const lock = new std::mutex();
  static auto* const free = new std::map<int, std::chrono::steady_clock::time_point>();
  std::chrono::steady_clock::time_point end;
  {
    const std::lock_guard<std::mutex> locked(*lock);
    end = std::max((*free)[device], StreamTime()) + std::chrono::microseconds(Settings::Get().network_us);
    (*free)[device] = StreamTime() = end;
  }
  // a sleeper wakes late: the last part is spent awake
  std::this_thread::sleep_until(end - std::chrono::microseconds(150));
  while (std::chrono::steady_clock::now() < end) {
  }
}

EXPORT CUresult cuLaunchHostFunc(CUstream on, CUhostFn function, void* data) {
  NEED_CONTEXT("cuLaunchHostFunc");
  NEED_STREAM(stream, on, "cuLaunchHostFunc");
  Work work;
  // the driver does not call it where the context has failed
  work.run = [=](bool whole) {
    if (whole) function(data);
  };
  if (Settings::Get().network_us > 0) {
    work.takes_time = true;
    work.run = [device = stream->device](bool) { TakeTime(device); };
  }
  stream->Put(std::move(work));
  return CUDA_SUCCESS;
}

// --- graphs ---

EXPORT int simgpu_capturing(void* stream) {
  return IsMade(stream) && reinterpret_cast<const Stream*>(stream)->Capturing() ? 1 : 0;
}

EXPORT CUresult cuStreamBeginCapture(CUstream on, CUstreamCaptureMode mode) {
  NEED_CONTEXT("cuStreamBeginCapture");
  NEED_STREAM(stream, on, "cuStreamBeginCapture");
  if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) {
    Violation("cuStreamBeginCapture in a mode that lets other threads break the capture");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (const CUresult status = NotWhileCapturing("cuStreamBeginCapture", stream)) return status;
  stream->capturer = std::this_thread::get_id();
  stream->BeginCapture();
  CapturesOfThread().insert(stream);
  return CUDA_SUCCESS;
}

static std::unique_ptr<Graph> EndCapture(Stream* stream) {
  CapturesOfThread().erase(stream);
  return stream->EndCapture();
}

EXPORT CUresult cuStreamEndCapture(CUstream on, CUgraph* handle) {
  CUresult refused = simgpu::Enter("cuStreamEndCapture");
  if (refused == CUDA_SUCCESS) refused = CheckContext("cuStreamEndCapture");
  if (refused != CUDA_SUCCESS) {
    // a capture that fails has ended too
    if (IsMade(on)) EndCapture(reinterpret_cast<Stream*>(on));
    return refused;
  }
  Stream* stream = nullptr;
  const CUresult found = Find(on, "cuStreamEndCapture", &stream);
  *handle = nullptr;
  if (found == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED) EndCapture(stream);
  if (found != CUDA_SUCCESS) return found;
  if (!stream->Capturing()) {
    Violation("cuStreamEndCapture of a stream that does not capture");
    return CUDA_ERROR_ILLEGAL_STATE;
  }
  Graph* const graph = EndCapture(stream).release();
  Register(graph, &Counts::graphs);
  *handle = reinterpret_cast<CUgraph>(graph);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* handle, CUgraph from, unsigned long long) {
  NEED_CONTEXT("cuGraphInstantiate");
  if (!IsMade(from)) return CUDA_ERROR_INVALID_HANDLE;
  auto* const executable = new Executable{reinterpret_cast<const Graph*>(from)->work};
  Register(executable, &Counts::executables);
  *handle = reinterpret_cast<CUgraphExec>(executable);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec handle, CUstream on) {
  NEED_CONTEXT("cuGraphLaunch");
  NEED_STREAM(stream, on, "cuGraphLaunch");
  if (!IsMade(handle)) {
    Violation("cuGraphLaunch of a graph that is not there");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (const CUresult status = NotWhileCapturing("cuGraphLaunch", stream)) return status;
  for (const Work& work : reinterpret_cast<const Executable*>(handle)->work) stream->Put(work);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph handle) {
  NEED_CONTEXT_TO_FREE(lost, "cuGraphDestroy");
  if (!Unregister(handle, &Counts::graphs, "cuGraphDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Graph*>(handle);
  return lost;
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec handle) {
  NEED_CONTEXT_TO_FREE(lost, "cuGraphExecDestroy");
  if (!Unregister(handle, &Counts::executables, "cuGraphExecDestroy")) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Executable*>(handle);
  return lost;
}
