// The runtime of a simulated TensorRT and its engines.
#include "runtime.h"

#include <cuda.h>

#include <algorithm>

#include "network.h"

#define SIMGPU_JOIN_(a, b, c, d, e) a##b##_##c##_##d##_##e
#define SIMGPU_JOIN(a, b, c, d, e) SIMGPU_JOIN_(a, b, c, d, e)

// By this trtdet reads a library's version off the file.
extern "C" {
extern TENSORRTAPI const int SIMGPU_JOIN(tensorrt_version_, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH,
                                         NV_TENSORRT_BUILD);
const int SIMGPU_JOIN(tensorrt_version_, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH,
                      NV_TENSORRT_BUILD) = 0;
}

namespace simgpu {

const Tensor* Loaded::Find(const std::string& name) const {
  for (const auto* tensors : {&network.inputs(), &network.outputs()}) {
    for (const Tensor& tensor : *tensors) {
      if (tensor.name == name) return &tensor;
    }
  }
  return nullptr;
}

bool Loaded::IsInput(const std::string& name) const {
  return std::any_of(network.inputs().begin(), network.inputs().end(),
                     [&](const Tensor& input) { return input.name == name; });
}

namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::ExecutionContextAllocationStrategy;

#if NV_TENSORRT_MAJOR == 1
// What is compiled while an engine runs.
constexpr const char* kKernels = "simulated kernels";

class RuntimeCache final : public nvinfer1::IRuntimeCache, public nvinfer1::apiv::VRuntimeCacheStub, private Counted {
 public:
  explicit RuntimeCache(nvinfer1::ILogger& log) : log_(log) { mImpl = this; }
  nvinfer1::IHostMemory* serialize() const noexcept override {
    return Fails(log_, "IRuntimeCache::serialize") ? nullptr : new HostMemory(log_, kKernels);
  }
  bool deserialize(const void* blob, std::size_t size) noexcept override {
    if (Fails(log_, "IRuntimeCache::deserialize")) return false;
    if (std::string(static_cast<const char*>(blob), size) == kKernels) return true;
    return Refuse(log_, "the runtime cache cannot be deserialized");
  }

 private:
  nvinfer1::ILogger& log_;
};

class RuntimeConfig final : public nvinfer1::IRuntimeConfig,
                            public nvinfer1::apiv::VRuntimeConfigStub,
                            private Counted {
 public:
  explicit RuntimeConfig(nvinfer1::ILogger& log) : log_(log) {
    mImpl = this;
    strategies.lazy = true;
  }
  void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy strategy) noexcept override {
    if (!Fails(log_, "IRuntimeConfig::setExecutionContextAllocationStrategy")) strategies.memory = strategy;
  }
  void setDynamicShapesKernelSpecializationStrategy(
      nvinfer1::DynamicShapesKernelSpecializationStrategy strategy) noexcept override {
    using Strategy = nvinfer1::DynamicShapesKernelSpecializationStrategy;
    if (Fails(log_, "IRuntimeConfig::setDynamicShapesKernelSpecializationStrategy")) return;
    strategies.lazy = strategy == Strategy::kLAZY;
  }
  nvinfer1::IRuntimeCache* createRuntimeCache() const noexcept override {
    return Fails(log_, "IRuntimeConfig::createRuntimeCache") ? nullptr : new RuntimeCache(log_);
  }
  bool setRuntimeCache(const nvinfer1::IRuntimeCache&) noexcept override {
    return !Fails(log_, "IRuntimeConfig::setRuntimeCache");
  }

  Strategies strategies;

 private:
  nvinfer1::ILogger& log_;
};
#endif

class Engine final : public nvinfer1::ICudaEngine, public nvinfer1::apiv::VCudaEngineStub, private Counted {
 public:
  Engine(std::shared_ptr<Loaded> loaded, std::shared_ptr<void> child)
      : child_(std::move(child)), loaded_(std::move(loaded)) {
    mImpl = this;
  }

  int32_t getNbIOTensors() const noexcept override {
    if (Fails("ICudaEngine::getNbIOTensors")) return 0;
    return static_cast<int32_t>(loaded_->network.inputs().size() + loaded_->network.outputs().size());
  }
  const char* getIOTensorName(int32_t index) const noexcept override {
    if (Fails("ICudaEngine::getIOTensorName")) return nullptr;
    const auto at = static_cast<std::size_t>(index);
    const auto& inputs = loaded_->network.inputs();
    return (at < inputs.size() ? inputs[at] : loaded_->network.outputs().at(at - inputs.size())).name.c_str();
  }
  nvinfer1::TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    using Mode = nvinfer1::TensorIOMode;
    if (Fails("ICudaEngine::getTensorIOMode") || Find(name) == nullptr) return Mode::kNONE;
    return loaded_->IsInput(name) ? Mode::kINPUT : Mode::kOUTPUT;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    const Tensor* const tensor = Fails("ICudaEngine::getTensorShape") ? nullptr : Find(name);
    return tensor == nullptr ? Dims{-1, {}} : ToDims(tensor->dims);
  }
  DataType getTensorDataType(const char* name) const noexcept override {
    const Tensor* const tensor = Fails("ICudaEngine::getTensorDataType") ? nullptr : Find(name);
    return tensor == nullptr ? DataType::kFLOAT : static_cast<DataType>(DataTypeOf(tensor->type));
  }
  int32_t getNbOptimizationProfiles() const noexcept override {
    if (Fails("ICudaEngine::getNbOptimizationProfiles")) return 0;
    return static_cast<int32_t>(loaded_->plan.profiles.size());
  }
  Dims getProfileShape(const char* name, int32_t profile, nvinfer1::OptProfileSelector which) const noexcept override {
    using Selector = nvinfer1::OptProfileSelector;
    if (Fails("ICudaEngine::getProfileShape")) return Dims{-1, {}};
    const auto at = static_cast<std::size_t>(profile);
    if (at >= loaded_->plan.profiles.size() || loaded_->plan.profiles[at].count(name) == 0) {
      Refuse(loaded_->log, std::string("there is no profile ") + std::to_string(profile) + " of an input " + name);
      return Dims{-1, {}};
    }
    const ShapeRange& range = loaded_->plan.profiles[at].at(name);
    return ToDims(which == Selector::kMIN ? range.min : which == Selector::kOPT ? range.opt : range.max);
  }
  int64_t getDeviceMemorySizeForProfileV2(int32_t profile) const noexcept override {
    if (Fails("ICudaEngine::getDeviceMemorySizeForProfileV2")) return 0;
    int64_t images = 1;
    for (const auto& [input, range] : loaded_->plan.profiles.at(static_cast<std::size_t>(profile))) {
      images = std::max(images, range.max.empty() ? 1 : range.max[0]);
    }
    return images * kMemorySize;
  }
  nvinfer1::IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
    if (Fails("ICudaEngine::createExecutionContext")) return nullptr;
    Strategies strategies;
    strategies.memory = strategy;
    return MakeContext(loaded_, strategies, contexts_.Another());
  }
#if NV_TENSORRT_MAJOR == 1
  nvinfer1::IRuntimeConfig* createRuntimeConfig() noexcept override {
    return Fails("ICudaEngine::createRuntimeConfig") ? nullptr : new RuntimeConfig(loaded_->log);
  }
  nvinfer1::IExecutionContext* createExecutionContextWithRuntimeConfig(
      nvinfer1::IRuntimeConfig* config) noexcept override {
    if (Fails("ICudaEngine::createExecutionContext")) return nullptr;
    return MakeContext(loaded_, static_cast<RuntimeConfig&>(*config).strategies, contexts_.Another());
  }
#endif

 private:
  bool Fails(const char* call) const { return simgpu::Fails(loaded_->log, call); }

  const Tensor* Find(const char* name) const {
    const Tensor* const found = loaded_->Find(name);
    if (found == nullptr) Refuse(loaded_->log, std::string("there is no tensor ") + name);
    return found;
  }

  std::shared_ptr<void> child_;
  std::shared_ptr<Loaded> loaded_;
  Children contexts_{"an engine is freed before its contexts"};
};

class Runtime final : public nvinfer1::IRuntime, public nvinfer1::apiv::VRuntimeStub, private Counted {
 public:
  explicit Runtime(nvinfer1::ILogger& log) : log_(log) { mImpl = this; }

  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
    if (Fails(log_, "IRuntime::deserializeCudaEngine")) return nullptr;
    try {
      return new Engine(std::make_shared<Loaded>(log_, ReadPlan(blob, size)), engines_.Another());
    } catch (const std::exception& error) {
      Refuse(log_, error.what());
      return nullptr;
    }
  }

 private:
  nvinfer1::ILogger& log_;
  Children engines_{"a runtime is freed before its engines"};
};

}  // namespace
}  // namespace simgpu

int32_t getInferLibVersion() noexcept { return simgpu::LibraryVersion(); }

int32_t getInferLibBuildVersion() noexcept { return NV_TENSORRT_BUILD; }

void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  auto& log = *static_cast<nvinfer1::ILogger*>(logger);
  if (simgpu::Fails(log, "createInferRuntime_INTERNAL")) return nullptr;
  if (version != simgpu::LibraryVersion()) {
    simgpu::Refuse(log, "the library is asked for another version than its own");
    return nullptr;
  }
  return static_cast<nvinfer1::IRuntime*>(new simgpu::Runtime(log));
}
