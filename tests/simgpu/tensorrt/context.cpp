// The execution contexts of a simulated TensorRT.
#include <cuda.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

#include "network.h"
#include "runtime.h"

namespace simgpu {
namespace {

using nvinfer1::Dims;

// A run as it was when it was put into a stream or captured.
struct Run {
  struct Part {
    std::string name;
    uint64_t address, size;
    Shape dims;
    bool output;
  };
  std::shared_ptr<const Loaded> engine;
  uint64_t memory = 0;
  std::vector<Part> tensors;

  static void Do(void* data) { static_cast<const Run*>(data)->Compute(); }

 private:
  void Compute() const {
    static const auto host_pointer = Driver<void* (*)(uint64_t, uint64_t)>("simgpu_host_pointer");
    std::map<std::string, Place> places;
    for (const Part& part : tensors) {
      void* const host = host_pointer(part.address, part.size);
      if (host == nullptr) return;  // the driver has written it down
      places[part.name] = {host, part.dims};
    }
    auto* const activations = static_cast<std::atomic<uint64_t>*>(host_pointer(memory, sizeof(uint64_t)));
    if (activations == nullptr) return;
    static std::atomic<uint64_t> number{0};
    const uint64_t mine = ++number;
    *activations = mine;
    try {
      engine->network.Run(places);
    } catch (const std::exception& error) {
      fprintf(stderr, "simgpu: %s\n", error.what());
    }
    if (*activations != mine) Violation("two contexts that share their memory ran at once");
    MayFail(places);
  }

  // Where it was told to, the network fails on the device, with half of its
  // results written.
  void MayFail(const std::map<std::string, Place>& places) const {
    static const auto enter = Driver<int (*)(const char*)>("simgpu_enter");
    static const auto fail_device = Driver<void (*)(uint64_t, int)>("simgpu_fail_device");
    const int status = enter("IExecutionContext::enqueueV3, late");
    if (status == 0) return;
    for (const Part& part : tensors) {
      if (part.output) memset(static_cast<char*>(places.at(part.name).data) + part.size / 2, 0xdd, part.size / 2);
    }
    fail_device(memory, status);
  }
};

class Context final : public nvinfer1::IExecutionContext,
                      public nvinfer1::apiv::VExecutionContextStub,
                      private Counted {
 public:
  Context(std::shared_ptr<Loaded> engine, const Strategies& strategies, std::shared_ptr<void> child)
      : child_(std::move(child)), engine_(std::move(engine)), strategies_(strategies) {
    mImpl = this;
    Choose(0);
  }

  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override {
    if (Fails("IExecutionContext::setDeviceMemoryV2")) return;
    if (strategies_.memory != nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED || size < kMemorySize) {
      Say("setDeviceMemoryV2 is of no use here");
      return;
    }
    Change();
    memory_ = reinterpret_cast<uint64_t>(memory);
    memory_size_ = size;
  }

  std::size_t updateDeviceMemorySizeForShapes() noexcept override {
    if (Fails("IExecutionContext::updateDeviceMemorySizeForShapes")) return 0;
    if (shapes_.size() < profile_.size()) {
      Say("updateDeviceMemorySizeForShapes before all inputs have their shapes");
      return 0;
    }
    Change();
    return static_cast<std::size_t>(Needs());
  }

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept override {
    if (Fails("IExecutionContext::setOptimizationProfileAsync")) return false;
    if (profile < 0 || static_cast<std::size_t>(profile) >= engine_->plan.profiles.size()) {
      return Say("there is no profile " + std::to_string(profile));
    }
    Change();
    Choose(static_cast<std::size_t>(profile));
    return true;
  }

  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    if (Fails("IExecutionContext::setInputShape")) return false;
    const Shape shape = ToShape(dims);
    const auto it = profile_.find(name);
    bool fits = it != profile_.end() && shape.size() == it->second.min.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] >= it->second.min[i] && shape[i] <= it->second.max[i];
    }
    if (!fits) return Say(std::string("the shape of ") + name + " is outside of the profile");
    Change();
    shapes_[name] = shape;
    outputs_.clear();
    ran_ = false;
    return true;
  }

  Dims getTensorShape(const char* name) const noexcept override {
    const Tensor* const tensor = Fails("IExecutionContext::getTensorShape") ? nullptr : engine_->Find(name);
    if (tensor == nullptr) return Dims{-1, {}};
    const auto& outputs = engine_->network.outputs();
    try {
      if (engine_->IsInput(name)) return ToDims(shapes_.count(name) == 0 ? tensor->dims : shapes_.at(name));
      if (shapes_.size() < engine_->network.inputs().size()) {
        Dims open = ToDims(tensor->dims);
        std::fill(open.d, open.d + open.nbDims, -1);
        return open;
      }
      return ToDims(Outputs()[static_cast<std::size_t>(tensor - outputs.data())]);
    } catch (const std::exception& error) {
      Say(error.what());
      return Dims{-1, {}};
    }
  }

  bool setTensorAddress(const char* name, void* data) noexcept override {
    if (Fails("IExecutionContext::setTensorAddress")) return false;
    const auto address = reinterpret_cast<uint64_t>(data);
    if (engine_->Find(name) == nullptr) return Say(std::string("there is no tensor ") + name);
    if (address % 256 != 0) return Say(std::string("the address of ") + name + " is not aligned");
    Change();
    addresses_[name] = address;
    return true;
  }

#if NV_TENSORRT_MAJOR == 1
  bool isStreamCapturable(cudaStream_t) const noexcept override {
    if (LibraryVersion() < kCapturable) NotSimulated("isStreamCapturable of TensorRT-RTX 1.2 in an older one");
    return !Fails("IExecutionContext::isStreamCapturable") && Capturable();
  }
#endif

  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (Fails("IExecutionContext::enqueueV3")) return false;
    try {
      return Enqueue(reinterpret_cast<CUstream>(stream));
    } catch (const std::exception& error) {
      return Say(error.what());
    }
  }

 private:
  bool Fails(const char* call) const { return simgpu::Fails(engine_->log, call); }
  bool Say(const std::string& why) const { return Refuse(engine_->log, why); }

  bool Enqueue(CUstream stream) {
    static const auto capturing = Driver<int (*)(void*)>("simgpu_capturing");
    static const auto launch = Driver<CUresult (*)(CUstream, CUhostFn, void*)>("cuLaunchHostFunc");
    const bool captured = capturing(stream) != 0;
    if (captured && !Capturable()) return Say("the run allocates memory and cannot be captured");
    if (captured && !ran_) return Say("the shapes were changed and not run with before the capture");
    if (captured && strategies_.lazy && Dynamic()) {
      Violation("a graph is captured while the kernels for its shape may still be compiled");
    }
    if (changed_) Prepare();
    captured_ |= captured;
    ran_ = true;
    const CUresult status = launch(stream, Run::Do, runs_.back().get());
    return status == CUDA_SUCCESS || Say("cuLaunchHostFunc failed: CUDA error " + std::to_string(status));
  }

  bool Capturable() const {
#if NV_TENSORRT_MAJOR == 1
    const auto flag = static_cast<int>(nvinfer1::BuilderFlag::kREQUIRE_USER_ALLOCATION);
    if (LibraryVersion() < kCapturable) return true;
    return engine_->plan.settings.find("flag " + std::to_string(flag) + '\n') != std::string::npos;
#else
    return true;
#endif
  }

  bool Dynamic() const {
    return std::any_of(profile_.begin(), profile_.end(),
                       [](const auto& input) { return input.second.min != input.second.max; });
  }

  void Choose(std::size_t profile) {
    profile_ = engine_->plan.profiles[profile];
    shapes_.clear();
    outputs_.clear();
    ran_ = false;
    for (const auto& [input, range] : profile_) {
      if (range.min == range.max) shapes_[input] = range.opt;
    }
  }

  void Change() {
    if (captured_) Violation("a context is changed from which a graph was captured");
    changed_ = true;
  }

  // Makes what is run from now on. A graph keeps its run for as long as it lives, so runs live as long as their
  // context.
  void Prepare() {
    auto run = std::make_unique<Run>();
    run->engine = engine_;
    run->memory = memory_;
    if (memory_ == 0 || memory_size_ < Needs()) {
      throw std::runtime_error(
          "too little memory was given for the activations by IExecutionContext::setDeviceMemoryV2");
    }
    const auto place = [&](const Tensor& tensor, const Shape& dims, bool output) {
      const auto it = addresses_.find(tensor.name);
      if (it == addresses_.end()) throw std::runtime_error("tensor " + tensor.name + " has no address");
      run->tensors.push_back({tensor.name, it->second, CountOf(dims) * SizeOf(tensor.type), dims, output});
    };
    for (const auto& input : engine_->network.inputs()) {
      if (shapes_.count(input.name) == 0) throw std::runtime_error("input " + input.name + " has no shape yet");
      place(input, shapes_.at(input.name), false);
    }
    const auto& outputs = Outputs();
    for (std::size_t i = 0; i < outputs.size(); ++i) place(engine_->network.outputs()[i], outputs[i], true);
    runs_.push_back(std::move(run));
    changed_ = false;
  }

  // How many bytes the activations take with the shapes that are set.
  int64_t Needs() const {
    int64_t images = 1;
    for (const auto& [input, shape] : shapes_) images = std::max(images, shape.empty() ? 1 : shape[0]);
    return images * kMemorySize;
  }

  const std::vector<Shape>& Outputs() const {
    if (outputs_.empty()) outputs_ = engine_->network.OutputShapes(shapes_);
    return outputs_;
  }

  std::shared_ptr<void> child_;
  std::shared_ptr<Loaded> engine_;
  Strategies strategies_;
  std::map<std::string, ShapeRange> profile_;
  std::map<std::string, Shape> shapes_;
  mutable std::vector<Shape> outputs_;  // of the shapes now
  std::map<std::string, uint64_t> addresses_;
  uint64_t memory_ = 0;
  int64_t memory_size_ = 0;
  bool changed_ = true;
  bool ran_ = false;  // with these shapes
  bool captured_ = false;
  std::vector<std::unique_ptr<Run>> runs_;  // the last is what is run now
};

}  // namespace

nvinfer1::IExecutionContext* MakeContext(std::shared_ptr<Loaded> engine, const Strategies& strategies,
                                         std::shared_ptr<void> child) {
  const std::string how = strategies.lazy ? "lazily" : "eagerly";
  engine->log.log(nvinfer1::ILogger::Severity::kINFO, ("a context whose kernels are compiled " + how).c_str());
  return new Context(std::move(engine), strategies, std::move(child));
}

}  // namespace simgpu
