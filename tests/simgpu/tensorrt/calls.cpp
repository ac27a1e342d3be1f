#include "calls.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace simgpu {
namespace {

// What SIMGPU_FAULT wants of a call, "" for nothing.
std::string Fault(const std::string& call) {
  static const std::string wanted = [] {
    const char* const fault = getenv("SIMGPU_FAULT");  // NOLINT(concurrency-mt-unsafe): set before the process starts
    return std::string(fault == nullptr ? "" : fault);
  }();
  return wanted.compare(0, call.size() + 1, call + ' ') == 0 ? wanted.substr(call.size() + 1) : "";
}

}  // namespace

[[noreturn]] void NotSimulated(const char* call) {
  fprintf(stderr, "simgpu: %s is not simulated\n", call);
  abort();
}

void* DriverSymbol(const char* name) {
  static std::atomic<void*> found{nullptr};
  void* library = found;
  if (library == nullptr) {
    const char* const path = getenv("TRTDET_LIBCUDA");  // NOLINT(concurrency-mt-unsafe): nothing here writes it
    if (path == nullptr) return nullptr;
    // NOLINTNEXTLINE(clang-analyzer-optin.taint.GenericTaint): whoever runs the test names the library
    library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) return nullptr;
    found = library;
  }
  return dlsym(library, name);
}

bool Fails(nvinfer1::ILogger& log, const char* call) {
  const auto enter = Driver<int (*)(const char*)>("simgpu_enter");
  const std::string fault = Fault(call);
  if (fault == "throw") throw std::runtime_error(call);
  if (fault == "crash") {
    fprintf(stderr, "simgpu: %s crashes\n", call);
    abort();
  }
  if ((enter == nullptr || enter(call) == 0) && fault != "fail") return false;
  Refuse(log, std::string(call) + " was told to fail");
  return true;
}

int32_t LibraryVersion() {
  const char* const told = getenv("SIMGPU_TENSORRT_VERSION");  // NOLINT(concurrency-mt-unsafe): set between tests
  return told == nullptr || *told == '\0' ? NV_TENSORRT_VERSION : static_cast<int32_t>(strtol(told, nullptr, 10));
}

bool Refuse(nvinfer1::ILogger& log, const std::string& why) {
  log.log(nvinfer1::ILogger::Severity::kERROR, why.c_str());
  return false;
}

void Violation(const std::string& what) {
  if (const auto violation = Driver<void (*)(const char*)>("simgpu_violation")) violation(what.c_str());
}

namespace {

bool Count(int change) {
  const auto object = Driver<void (*)(int)>("simgpu_object");
  if (object != nullptr) object(change);
  return object != nullptr;
}

}  // namespace

Counted::Counted() : counted_(Count(1)) {}

Counted::~Counted() {
  if (counted_) Count(-1);
}

}  // namespace simgpu
