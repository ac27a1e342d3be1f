// What the classes of a simulated TensorRT share: every call counts itself by
// its name and fails where it was told to.
//
// This folder is compiled once per flavor, each time against the real headers
// of that flavor. What it derives from, an interface of which every function
// ends the process, is written by stubs.py.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_CALLS_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_CALLS_H_

#include <NvInfer.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "stubs.h"

namespace simgpu {

constexpr bool kIsRtx = NV_TENSORRT_MAJOR == 1;
// From this version on TensorRT-RTX tells whether it can be captured, and has a
// builder's flag for it.
constexpr int32_t kCapturable = 10200;

// A function of the simulated driver (simgpu.h and cuda.h), null where the
// program has not loaded it: TensorRT-RTX builds without one.
void* DriverSymbol(const char* name);

template <typename Function>
Function Driver(const char* name) {
  return reinterpret_cast<Function>(DriverSymbol(name));
}

// Counts a call, such as "IBuilder::reset", and returns whether it has to fail:
// where simgpu_fail has said so, it then writes that into the log, as TensorRT
// does. For processes that a test only starts there is SIMGPU_FAULT, "CALL fail",
// "CALL throw" or "CALL crash".
bool Fails(nvinfer1::ILogger& log, const char* call);

// What the library says that it is: SIMGPU_TENSORRT_VERSION, as getInferLibVersion
// counts, or the headers' version.
int32_t LibraryVersion();

// Writes an error into the log and returns false.
bool Refuse(nvinfer1::ILogger& log, const std::string& why);

// Writes down what a program must not do.
void Violation(const std::string& what);

// An object that the program, or what it was made from, has to free.
class Counted {
 public:
  Counted();
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 protected:
  ~Counted();

 private:
  bool counted_;
};

// What was made from an object and has to be freed before it.
class Children {
 public:
  explicit Children(const char* rule) : rule_(rule) {}
  ~Children() {
    if (*alive_ != 0) Violation(rule_);
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  // Returns what each of them holds as long as it lives.
  std::shared_ptr<void> Another() {
    ++*alive_;
    return {nullptr, [alive = alive_](void*) { --*alive; }};
  }

 private:
  const char* rule_;
  std::shared_ptr<std::atomic<int>> alive_ = std::make_shared<std::atomic<int>>(0);
};

class HostMemory final : public nvinfer1::IHostMemory, public nvinfer1::apiv::VHostMemoryStub, private Counted {
 public:
  HostMemory(nvinfer1::ILogger& log, std::string bytes) : log_(log), bytes_(std::move(bytes)) { mImpl = this; }
  void* data() const noexcept override {
    return Fails(log_, "IHostMemory::data") ? nullptr : const_cast<char*>(bytes_.data());
  }
  std::size_t size() const noexcept override { return Fails(log_, "IHostMemory::size") ? 0 : bytes_.size(); }

 private:
  nvinfer1::ILogger& log_;
  std::string bytes_;
};

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_CALLS_H_
