// libnvidia-ml.so.1 beside the simulated driver: as much of it as go-nvml is asked for.
#include <nvml.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "../simgpu.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// A GPU, or a part of one.
struct Gpu {
  int device;
  int part = -1;             // -1 for the whole
  int parts = 0;             // that it is divided into
  unsigned int utilization;  // percent
  uint64_t others = 0;       // bytes that other processes use
};

struct EventSet {
  std::set<const Gpu*> gpus;
  std::deque<nvmlEventData_t> events;
};

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t started = 0;
  std::set<EventSet*> sets;
  std::vector<Gpu> gpus;                  // in the driver's order
  std::map<int, std::vector<Gpu>> parts;  // by device
};

State& Get() {
  static auto* const state = [] {
    auto* made = new State();
    const char* busy = getenv("SIMGPU_UTILIZATION");
    simgpu_device is{};
    for (int device = 0; simgpu_describe(device, &is) != 0; ++device) {
      char* end = nullptr;
      const auto percent = static_cast<unsigned int>(busy == nullptr ? 0 : strtoul(busy, &end, 10));
      if (busy != nullptr) busy = *end == ',' ? end + 1 : nullptr;
      made->gpus.push_back({device, -1, is.parts, percent});
      for (int part = 0; part < is.parts; ++part) made->parts[device].push_back({device, part, 0, 0});
    }
    return made;
  }();
  return *state;
}

using Lock = std::unique_lock<std::mutex>;

// Locks, and returns where NVML has not been started.
#define ENTER()           \
  State& state = Get();   \
  Lock lock(state.mutex); \
  if (state.started == 0) return NVML_ERROR_UNINITIALIZED

// The same, for a call about a GPU.
#define ENTER_GPU(gpu, handle)          \
  ENTER();                              \
  Gpu* const gpu = Find(state, handle); \
  if ((gpu) == nullptr) return NVML_ERROR_INVALID_ARGUMENT

Gpu* Find(State& state, nvmlDevice_t handle) {
  auto* const gpu = reinterpret_cast<Gpu*>(handle.handle);
  for (Gpu& known : state.gpus) {
    if (&known == gpu) return gpu;
    for (Gpu& part : state.parts[known.device]) {
      if (&part == gpu) return gpu;
    }
  }
  return nullptr;
}

// go-nvml's header has the handles in structs.
nvmlDevice_t Handle(Gpu* gpu) { return {reinterpret_cast<decltype(nvmlDevice_t::handle)>(gpu)}; }

EventSet* Find(State& state, nvmlEventSet_t handle) {
  auto* const set = reinterpret_cast<EventSet*>(handle.handle);
  return state.sets.count(set) != 0 ? set : nullptr;
}

simgpu_device Describe(const Gpu& gpu) {
  simgpu_device is{};
  simgpu_describe(gpu.device, &is);
  if (gpu.part >= 0) is.uuid[15] = static_cast<unsigned char>(gpu.part);
  return is;
}

std::string Uuid(const Gpu& gpu) {
  const simgpu_device is = Describe(gpu);
  std::string text = gpu.part < 0 ? "GPU" : "MIG";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    char two[3];
    snprintf(two, sizeof two, "%02x", is.uuid[i]);
    text += two;
  }
  return text;
}

nvmlReturn_t Write(const std::string& text, char* to, unsigned int length) {
  if (text.size() >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(to, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

}  // namespace

// --- for tests ---

EXPORT void simgpu_nvml_load(int device, int utilization, uint64_t used) {
  State& state = Get();
  const Lock lock(state.mutex);
  Gpu& gpu = state.gpus.at(static_cast<size_t>(device));
  gpu.utilization = static_cast<unsigned int>(utilization);
  gpu.others = used;
}

EXPORT void simgpu_nvml_xid(int device, uint64_t xid) {
  State& state = Get();
  const Lock lock(state.mutex);
  Gpu& gpu = state.gpus.at(static_cast<size_t>(device));
  // of a GPU that is divided, it is said of its first part
  const unsigned int instance = gpu.parts > 0 ? 0 : ~0U;
  for (EventSet* set : state.sets) {
    if (set->gpus.count(&gpu) == 0) continue;
    set->events.push_back({Handle(&gpu), nvmlEventTypeXidCriticalError, xid, instance, instance});
  }
  state.changed.notify_all();
}

EXPORT int64_t simgpu_nvml_live() {
  State& state = Get();
  const Lock lock(state.mutex);
  return state.started + static_cast<int64_t>(state.sets.size());
}

// --- the library ---

EXPORT nvmlReturn_t nvmlInit_v2() {
  State& state = Get();
  const Lock lock(state.mutex);
  ++state.started;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlShutdown() {
  ENTER();
  --state.started;
  return NVML_SUCCESS;
}

EXPORT const char* nvmlErrorString(nvmlReturn_t result) {
  return result == NVML_SUCCESS ? "Success" : "an error of the simulation";
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  ENTER();
  return Write("580.0.simulated", version, length);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  ENTER();
  *version = 13000;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) {
  ENTER();
  *count = static_cast<unsigned int>(state.gpus.size());
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  ENTER();
  if (index >= state.gpus.size()) return NVML_ERROR_INVALID_ARGUMENT;
  *device = Handle(&state.gpus[state.gpus.size() - 1 - index]);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  ENTER();
  for (Gpu& gpu : state.gpus) {
    if (Uuid(gpu) == uuid) return *device = Handle(&gpu), NVML_SUCCESS;
    for (Gpu& part : state.parts[gpu.device]) {
      if (Uuid(part) == uuid) return *device = Handle(&part), NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  ENTER_GPU(gpu, device);
  return Write(gpu->part < 0 ? "simulated GPU" : "simulated GPU, a part", name, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned int length) {
  ENTER_GPU(gpu, device);
  return Write(Uuid(*gpu), uuid, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  ENTER_GPU(gpu, device);
  *major = 8;
  *minor = 9;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  ENTER_GPU(gpu, device);
  const simgpu_device is = Describe(*gpu);
  // what this process uses, it uses of the first part
  const uint64_t used = gpu->part > 0 ? 0 : is.used + gpu->others;
  memory->total = gpu->part < 0 ? is.memory : is.memory / static_cast<uint64_t>(is.parts);
  memory->used = std::min<uint64_t>(used, memory->total);
  memory->free = memory->total - memory->used;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* utilization) {
  ENTER_GPU(gpu, device);
  // neither a GPU that is divided has them nor a part
  if (gpu->part >= 0 || gpu->parts > 0) return NVML_ERROR_NOT_SUPPORTED;
  *utilization = {gpu->utilization, 0};
  return NVML_SUCCESS;
}

// --- MIG ---

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int* current, unsigned int* pending) {
  ENTER_GPU(gpu, device);
  if (gpu->part >= 0) return NVML_ERROR_INVALID_ARGUMENT;
  *current = *pending = gpu->parts > 0 ? NVML_DEVICE_MIG_ENABLE : NVML_DEVICE_MIG_DISABLE;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int* count) {
  ENTER_GPU(gpu, device);
  *count = 7;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t* part) {
  ENTER_GPU(gpu, device);
  if (gpu->part >= 0) return NVML_ERROR_INVALID_ARGUMENT;
  std::vector<Gpu>& parts = state.parts[gpu->device];
  if (index >= parts.size()) return NVML_ERROR_NOT_FOUND;
  *part = Handle(&parts[index]);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t part, nvmlDevice_t* device) {
  ENTER_GPU(gpu, part);
  if (gpu->part < 0) return NVML_ERROR_INVALID_ARGUMENT;
  *device = Handle(&state.gpus[static_cast<size_t>(gpu->device)]);
  return NVML_SUCCESS;
}

// --- events ---

EXPORT nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* set) {
  ENTER();
  auto* const made = new EventSet();
  state.sets.insert(made);
  set->handle = reinterpret_cast<decltype(set->handle)>(made);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t handle) {
  ENTER_GPU(gpu, device);
  EventSet* const set = Find(state, handle);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  // events are the whole GPU's
  if (gpu->part >= 0 || types != nvmlEventTypeXidCriticalError) return NVML_ERROR_NOT_SUPPORTED;
  set->gpus.insert(gpu);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t handle, nvmlEventData_t* data, unsigned int timeout_ms) {
  ENTER();
  EventSet* const set = Find(state, handle);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const auto ready = [&] { return state.sets.count(set) == 0 || !set->events.empty(); };
  if (!state.changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready)) return NVML_ERROR_TIMEOUT;
  if (state.sets.count(set) == 0) abort();  // it was freed while somebody waited: undefined
  *data = set->events.front();
  set->events.pop_front();
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t handle) {
  ENTER();
  EventSet* const set = Find(state, handle);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  state.sets.erase(set);
  delete set;
  state.changed.notify_all();
  return NVML_SUCCESS;
}
