#include "sim.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "../simgpu.h"
#include "memory.h"

namespace simgpu {
namespace {

uint64_t Number(const char* name, uint64_t otherwise) {
  const char* const text = getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : strtoull(text, nullptr, 10);
}

struct Called {
  int64_t count = 0;
  int64_t fail_at = 0;  // 0 is never
  bool for_good = false;
  int status = 0;
};

std::map<std::string, Called>& Calls() {
  static auto* const calls = new std::map<std::string, Called>();
  return *calls;
}

// Calls are counted under a lock of their own: violations are found under the
// other one.
std::mutex& CallLock() {
  static auto* const lock = new std::mutex();
  return *lock;
}

int64_t violations = 0;

}  // namespace

const Settings& Settings::Get() {
  static const Settings settings = [] {
    Settings s;
    s.devices = static_cast<int>(Number("SIMGPU_DEVICES", 1));
    s.inline_ = Number("SIMGPU_INLINE", 0) != 0;
    s.network_us = Number("SIMGPU_NETWORK_US", 0);
    s.instant = s.network_us > 0 || Number("SIMGPU_INSTANT", 0) != 0;
    s.seed = Number("SIMGPU_SEED", 1);
    const char* const mig = getenv("SIMGPU_MIG");
    // NOLINTNEXTLINE(cert-err34-c,bugprone-unchecked-string-to-number-conversion): what cannot be read divides nothing
    if (mig != nullptr && sscanf(mig, "%d:%d", &s.mig_device, &s.mig_parts) != 2) s.mig_device = -1;
    s.pin_us = Number("SIMGPU_PIN_US", 0);
    s.memory = Number("SIMGPU_MEMORY", 4ULL << 30);
    return s;
  }();
  return settings;
}

void Violation(const std::string& what) {
  const std::lock_guard<std::mutex> lock(CallLock());
  ++violations;
  fprintf(stderr, "simgpu: %s\n", what.c_str());
}

CUresult Enter(const char* call) {
  const std::lock_guard<std::mutex> lock(CallLock());
  Called& called = Calls()[call];
  ++called.count;
  const bool fails =
      called.fail_at != 0 && (called.for_good ? called.count >= called.fail_at : called.count == called.fail_at);
  return fails ? static_cast<CUresult>(called.status) : CUDA_SUCCESS;
}

std::mutex& Lock() {
  static auto* const lock = new std::mutex();
  return *lock;
}

Counts& Live() {
  static Counts counts;
  return counts;
}

}  // namespace simgpu

#define EXPORT extern "C" __attribute__((visibility("default")))

static void Fail(const char* call, int64_t nth, int status, bool for_good) {
  const std::lock_guard<std::mutex> lock(simgpu::CallLock());
  if (*call == '\0') {
    for (auto& [name, called] : simgpu::Calls()) called.fail_at = 0;
    return;
  }
  simgpu::Called& called = simgpu::Calls()[call];
  called.fail_at = called.count + nth;
  called.status = status;
  called.for_good = for_good;
}

EXPORT void simgpu_fail(const char* call, int64_t nth, int status) { Fail(call, nth, status, false); }

EXPORT void simgpu_fail_from(const char* call, int64_t nth, int status) { Fail(call, nth, status, true); }

EXPORT int simgpu_enter(const char* call) { return simgpu::Enter(call); }

EXPORT void simgpu_object(int change) {
  const std::lock_guard<std::mutex> lock(simgpu::Lock());
  simgpu::Live().objects += change;
}

EXPORT void simgpu_violation(const char* what) { simgpu::Violation(what); }

EXPORT int64_t simgpu_calls(const char* call) {
  const std::lock_guard<std::mutex> lock(simgpu::CallLock());
  return simgpu::Calls()[call].count;
}

EXPORT void simgpu_called(char* names, int64_t size) {
  const std::lock_guard<std::mutex> lock(simgpu::CallLock());
  memset(names, 0, static_cast<size_t>(size));
  int64_t at = 0;
  for (const auto& [name, called] : simgpu::Calls()) {
    const auto length = static_cast<int64_t>(name.size()) + 1;
    if (called.count == 0 || at + length >= size) continue;
    memcpy(names + at, name.c_str(), static_cast<size_t>(length));
    at += length;
  }
}

EXPORT simgpu_counts simgpu_count(void) {
  const std::lock_guard<std::mutex> lock(simgpu::Lock());
  const std::lock_guard<std::mutex> calls(simgpu::CallLock());
  const simgpu::Counts& live = simgpu::Live();
  return {live.contexts, live.allocations, live.pinned,      live.streams, live.events,
          live.modules,  live.graphs,      live.executables, live.objects, simgpu::violations};
}

EXPORT void* simgpu_host_pointer(uint64_t address, uint64_t size) {
  const std::lock_guard<std::mutex> lock(simgpu::Lock());
  void* const host = simgpu::DeviceMemory::Get().Host(address, size);
  if (host == nullptr) simgpu::Violation("a network reads or writes beside what is allocated");
  return host;
}
