// The kernels that TensorRT-RTX compiles on the GPU while an engine runs; other
// TensorRTs have compiled theirs when they built the plan.
#ifndef TRTDET_SRC_NVINFER_RUNTIME_CACHE_H_
#define TRTDET_SRC_NVINFER_RUNTIME_CACHE_H_

#include <memory>

#include "../error.h"
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
    config_.reset(engine.createRuntimeConfig());
    if (config_ != nullptr) cache_.reset(config_->createRuntimeCache());
    if (config_ != nullptr) config_->setExecutionContextAllocationStrategy(kMemoryIsCallers);
    if (cache_ == nullptr) throw Error(TRTDET_RUN, "TensorRT-RTX made no runtime cache", logger.sink().Errors());
    if (bytes.size != 0 && !cache_->deserialize(bytes.data, bytes.size)) {
      logger.log(nvinfer1::ILogger::Severity::kWARNING,
                 "the runtime cache is of another plan, GPU or TensorRT-RTX: kernels are compiled again");
    }
    if (!config_->setRuntimeCache(*cache_)) throw Error(TRTDET_RUN, "TensorRT-RTX refuses its own runtime cache");
  }
  nvinfer1::IExecutionContext* CreateContext(nvinfer1::ICudaEngine& engine) {
    return engine.createExecutionContext(config_.get());
  }
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
