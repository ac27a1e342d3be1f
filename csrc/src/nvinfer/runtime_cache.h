// The kernels that TensorRT-RTX compiles on the GPU while an engine runs; other
// TensorRTs have compiled theirs when they built the plan.
#ifndef TRTDET_SRC_NVINFER_RUNTIME_CACHE_H_
#define TRTDET_SRC_NVINFER_RUNTIME_CACHE_H_

#include <memory>

#include "../flavor.h"
#include "api.h"
#include "logger.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

constexpr auto kMemoryIsCallers = nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;

#if TRTDET_FLAVOR == 1
class RuntimeCache {
 public:
  // Goes on from these bytes, where there are any.
  void Start(nvinfer1::ICudaEngine& engine, Bytes bytes, Logger& logger) {
    LogSink& sink = logger.sink();
    config_.reset(engine.createRuntimeConfig());
    if (config_ == nullptr) throw Error(TRTDET_RUN, "TensorRT-RTX made no runtime configuration", sink.Errors());
    cache_.reset(config_->createRuntimeCache());
    if (cache_ == nullptr) throw Error(TRTDET_RUN, "TensorRT-RTX made no runtime cache", sink.Errors());
    const bool kept = bytes.size == 0 || cache_->deserialize(bytes.data, bytes.size);
    sink.ForgetErrors();  // whatever is wrong with the bytes, the engine runs without them
    if (!kept) {
      logger.log(nvinfer1::ILogger::Severity::kWARNING,
                 "the runtime cache is of another plan, GPU or TensorRT-RTX: kernels are compiled again");
    }
    if (!config_->setRuntimeCache(*cache_)) {
      throw Error(TRTDET_RUN, "TensorRT-RTX refuses its own runtime cache", sink.Errors());
    }
    config_->setExecutionContextAllocationStrategy(kMemoryIsCallers);
    // The default compiles kernels for a new shape in the background and runs
    // slower ones until they are there. A graph that was captured after the first
    // run would keep the slower ones for good, so the first run waits for its
    // kernels. RTX's own graphs (setCudaGraphStrategy) wait as well, but hold the
    // network alone, and are off while a stream is captured: ours hold the copies,
    // letterbox and decode too.
    config_->setDynamicShapesKernelSpecializationStrategy(nvinfer1::DynamicShapesKernelSpecializationStrategy::kEAGER);
    CheckLog(sink, TRTDET_RUN, "TensorRT-RTX refuses how it is to run");
  }
  nvinfer1::IExecutionContext* CreateContext(nvinfer1::ICudaEngine& engine) {
    return engine.createExecutionContext(config_.get());
  }
  // Null where TensorRT-RTX does not say what it has compiled.
  std::unique_ptr<nvinfer1::IHostMemory> Serialize() const {
    return std::unique_ptr<nvinfer1::IHostMemory>(cache_->serialize());
  }

 private:
  std::unique_ptr<nvinfer1::IRuntimeConfig> config_;
  std::unique_ptr<nvinfer1::IRuntimeCache> cache_;
};
#else
class RuntimeCache {
 public:
  void Start(nvinfer1::ICudaEngine&, Bytes, Logger&) {}
  nvinfer1::IExecutionContext* CreateContext(nvinfer1::ICudaEngine& engine) {
    return engine.createExecutionContext(kMemoryIsCallers);
  }
  std::unique_ptr<nvinfer1::IHostMemory> Serialize() const { return nullptr; }
};
#endif

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_RUNTIME_CACHE_H_
