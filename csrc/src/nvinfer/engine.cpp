#include "engine.h"

#include <cuda.h>

#include "../error.h"
#include "../signal_handlers.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {
namespace {

class NvCache final : public Plan {
 public:
  NvCache(std::shared_ptr<EngineState> state, std::unique_ptr<nvinfer1::IHostMemory> bytes)
      : state_(std::move(state)), bytes_(std::move(bytes)) {}
  Bytes Data() const override { return bytes_ == nullptr ? Bytes{} : Bytes{bytes_->data(), bytes_->size()}; }
  Bytes TimingCache() const override { return {}; }

 private:
  std::shared_ptr<EngineState> state_;
  std::unique_ptr<nvinfer1::IHostMemory> bytes_;
};

trtdet_tensor Describe(const std::string& name, nvinfer1::DataType dtype, const nvinfer1::Dims& dims) {
  if (dims.nbDims < 0 || dims.nbDims > TRTDET_MAX_RANK) {
    throw Error(TRTDET_INVALID, "tensor " + name + ": TensorRT cannot tell its shape yet");
  }
  trtdet_tensor out{};
  out.name = name.c_str();
  out.dtype = static_cast<trtdet_dtype>(dtype);
  out.rank = dims.nbDims;
  for (int32_t i = 0; i < dims.nbDims; ++i) out.dims[i] = dims.d[i];
  return out;
}

Shape ToShape(const nvinfer1::Dims& dims) { return dims.nbDims < 0 ? Shape() : Shape(dims.d, dims.d + dims.nbDims); }

class NvContext final : public Context {
 public:
  NvContext(std::shared_ptr<EngineState> state, int32_t profile, uint64_t stream, Memory memory)
      : state_(std::move(state)) {
    const SignalHandlers handlers;
    LogSink& sink = state_->logger.sink();
    sink.ForgetErrors();
    context_.reset(state_->cache.CreateContext(*state_->engine));
    const auto cuda = reinterpret_cast<CUstream>(stream);
    if (context_ != nullptr) context_->setDeviceMemoryV2(reinterpret_cast<void*>(memory.address), memory.size);
    if (context_ == nullptr || !context_->setOptimizationProfileAsync(profile, cuda)) {
      throw Error(TRTDET_RUN, "TensorRT made no execution context", sink.Errors());
    }
    if (cuStreamSynchronize(cuda) != CUDA_SUCCESS) throw Error(TRTDET_RUN, "the stream of a new context failed");
  }

  void SetShape(const std::string& input, const Shape& shape) override {
    nvinfer1::Dims dims{};
    dims.nbDims = static_cast<int32_t>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
    LogSink& sink = state_->logger.sink();
    sink.ForgetErrors();
    if (!context_->setInputShape(input.c_str(), dims)) {
      throw Error(TRTDET_INVALID, "input " + input + " cannot be " + ToString(shape), sink.Errors());
    }
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    const std::string& name = state_->Names(role)[static_cast<std::size_t>(index)];
    const nvinfer1::Dims dims = context_->getTensorShape(name.c_str());
    for (int32_t i = 0; i < dims.nbDims; ++i) {
      if (dims.d[i] < 0) throw Error(TRTDET_INVALID, "tensor " + name + " has no shape before the inputs have theirs");
    }
    return Describe(name, state_->engine->getTensorDataType(name.c_str()), dims);
  }

  void SetAddress(const char* tensor, uint64_t address) override {
    if (!context_->setTensorAddress(tensor, reinterpret_cast<void*>(address))) {
      throw Error(TRTDET_INVALID, std::string("TensorRT refuses an address for tensor ") + tensor,
                  state_->logger.sink().Errors());
    }
  }

  bool Capturable([[maybe_unused]] uint64_t stream) const override {
#if TRTDET_FLAVOR == 1
    // what this asks was always so before 1.2, which has no such function
    return state_->binaries->version < 10200 || context_->isStreamCapturable(reinterpret_cast<CUstream>(stream));
#else
    return true;
#endif
  }

  void Enqueue(uint64_t stream) override {
    LogSink& sink = state_->logger.sink();
    sink.ForgetErrors();
    bool ok = false;
    if (first_) {
      const SignalHandlers handlers;
      ok = context_->enqueueV3(reinterpret_cast<CUstream>(stream));
      first_ = false;
    } else {
      ok = context_->enqueueV3(reinterpret_cast<CUstream>(stream));
    }
    if (!ok) throw Error(TRTDET_RUN, "TensorRT did not run the engine", sink.Errors());
  }

 private:
  std::shared_ptr<EngineState> state_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  bool first_ = true;
};

}  // namespace

NvEngine::NvEngine(std::shared_ptr<Binaries> binaries, Bytes plan, Bytes cache, std::shared_ptr<LogSink> log)
    : state_(new EngineState{std::move(binaries), Logger(std::move(log)), nullptr, nullptr, {}, {}, {}}) {
  // contexts with memory of their caller's
  if (!kIsRtx && state_->binaries->version < 100100)
    throw Error(TRTDET_VERSION, "TensorRT 10.0 is too old: install 10.1 or newer");
  const SignalHandlers handlers;
  LogSink& sink = state_->logger.sink();
  sink.ForgetErrors();
  nvinfer1::ILogger* logger = &state_->logger;
  state_->runtime.reset(
      static_cast<nvinfer1::IRuntime*>(state_->binaries->create_runtime(logger, state_->binaries->version)));
  if (state_->runtime == nullptr) throw Error(TRTDET_RUN, "TensorRT made no runtime", sink.Errors());
  state_->engine.reset(state_->runtime->deserializeCudaEngine(plan.data, plan.size));
  if (state_->engine == nullptr) throw Error(TRTDET_PLAN, "TensorRT refuses the plan", sink.Errors());
  state_->cache.Start(*state_->engine, cache, state_->logger);
  for (int32_t i = 0; i < state_->engine->getNbIOTensors(); ++i) {
    const char* name = state_->engine->getIOTensorName(i);
    const bool input = state_->engine->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    (input ? state_->inputs : state_->outputs).emplace_back(name);
  }
}

int32_t NvEngine::TensorCount(trtdet_role role) const { return static_cast<int32_t>(state_->Names(role).size()); }

trtdet_tensor NvEngine::Tensor(trtdet_role role, int32_t index) const {
  const std::string& name = state_->Names(role)[static_cast<std::size_t>(index)];
  return Describe(name, state_->engine->getTensorDataType(name.c_str()), state_->engine->getTensorShape(name.c_str()));
}

int32_t NvEngine::ProfileCount() const { return state_->engine->getNbOptimizationProfiles(); }

ShapeRange NvEngine::ProfileShape(int32_t profile, const std::string& input) const {
  using Selector = nvinfer1::OptProfileSelector;
  const auto shape = [&](Selector which) {
    return ToShape(state_->engine->getProfileShape(input.c_str(), profile, which));
  };
  ShapeRange range{shape(Selector::kMIN), shape(Selector::kOPT), shape(Selector::kMAX)};
  if (range.max.empty()) throw Error(TRTDET_INVALID, "the engine has no input " + input);
  return range;
}

std::unique_ptr<Plan> NvEngine::Cache() const { return std::make_unique<NvCache>(state_, state_->cache.Serialize()); }

int64_t NvEngine::MemorySize(int32_t profile) const { return state_->engine->getDeviceMemorySizeForProfileV2(profile); }

std::unique_ptr<Context> NvEngine::CreateContext(int32_t profile, uint64_t stream, Memory memory) {
  return std::make_unique<NvContext>(state_, profile, stream, memory);
}

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE
