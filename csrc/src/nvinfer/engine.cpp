#include "engine.h"

#include <cuda.h>

#include "../error.h"
#include "../signal_handlers.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {
namespace {

class NvCache final : public Plan {
 public:
  NvCache(std::shared_ptr<EngineState> state, std::unique_ptr<nvinfer1::IHostMemory> bytes)
      : state_(std::move(state)), bytes_(std::move(bytes)) {
    if (bytes_ != nullptr) data_ = {bytes_->data(), bytes_->size()};
  }
  Bytes Data() const override { return data_; }
  Bytes TimingCache() const override { return {}; }

 private:
  std::shared_ptr<EngineState> state_;
  std::unique_ptr<nvinfer1::IHostMemory> bytes_;
  Bytes data_;
};

trtdet_tensor ToTensor(const std::string& name, nvinfer1::DataType dtype, const nvinfer1::Dims& dims) {
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
  NvContext(std::shared_ptr<EngineState> state, int32_t profile, uint64_t stream) : state_(std::move(state)) {
    const SignalHandlers handlers;
    const Errors errors(state_->logger.sink());
    context_.reset(state_->cache.CreateContext(*state_->engine));
    const auto cuda = reinterpret_cast<CUstream>(stream);
    if (context_ == nullptr) throw Error(TRTDET_RUN, "TensorRT made no execution context", errors.Text());
    if (!context_->setOptimizationProfileAsync(profile, cuda)) {
      throw Error(TRTDET_RUN, "TensorRT refuses profile " + std::to_string(profile), errors.Text());
    }
    if (const CUresult status = cuStreamSynchronize(cuda); status != CUDA_SUCCESS) {
      throw Error(TRTDET_RUN, "the stream of a new context failed: CUDA error " + std::to_string(status));
    }
  }

  void SetShape(const std::string& input, const Shape& shape) override {
    nvinfer1::Dims dims{};
    dims.nbDims = static_cast<int32_t>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
    const Errors errors(state_->logger.sink());
    if (!context_->setInputShape(input.c_str(), dims)) {
      throw Error(TRTDET_INVALID, "input " + input + " cannot be " + ToString(shape), errors.Text());
    }
  }

  int64_t MemorySize() override {
    const Errors errors(state_->logger.sink());
    const auto size = static_cast<int64_t>(context_->updateDeviceMemorySizeForShapes());
    // 0 is no error of a network that needs none
    if (const std::string reasons = errors.Text(); size == 0 && !reasons.empty()) {
      throw Error(TRTDET_RUN, "TensorRT does not tell how much memory an execution context needs", reasons);
    }
    return size;
  }

  void SetMemory(Memory memory) override {
    const Errors errors(state_->logger.sink());
    context_->setDeviceMemoryV2(reinterpret_cast<void*>(memory.address), memory.size);
    // the call returns nothing: its log alone says that it failed
    if (const std::string reasons = errors.Text(); !reasons.empty()) {
      throw Error(TRTDET_RUN, "TensorRT does not take the memory for an execution context", reasons);
    }
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    const EngineState::Tensor& tensor = state_->Tensors(role)[static_cast<std::size_t>(index)];
    const Errors errors(state_->logger.sink());
    const nvinfer1::Dims dims = context_->getTensorShape(tensor.name.c_str());
    if (dims.nbDims < 0) {
      throw Error(TRTDET_RUN, "TensorRT does not tell the shape of tensor " + tensor.name, errors.Text());
    }
    for (int32_t i = 0; i < dims.nbDims; ++i) {
      if (dims.d[i] < 0) {
        throw Error(TRTDET_INVALID, "tensor " + tensor.name + " has no shape before the inputs have theirs");
      }
    }
    return ToTensor(tensor.name, tensor.dtype, dims);
  }

  void SetAddress(const char* tensor, uint64_t address) override {
    const Errors errors(state_->logger.sink());
    if (!context_->setTensorAddress(tensor, reinterpret_cast<void*>(address))) {
      throw Error(TRTDET_INVALID, std::string("TensorRT refuses an address for tensor ") + tensor, errors.Text());
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
    const Errors errors(state_->logger.sink());
    bool ok = false;
    if (first_) {
      const SignalHandlers handlers;
      ok = context_->enqueueV3(reinterpret_cast<CUstream>(stream));
      first_ = false;
    } else {
      ok = context_->enqueueV3(reinterpret_cast<CUstream>(stream));
    }
    if (!ok) throw Error(TRTDET_RUN, "TensorRT did not run the engine", errors.Text());
  }

 private:
  // What TensorRT logs as errors from here on: contexts of one engine run on
  // threads of their own, and share its log.
  class Errors {
   public:
    explicit Errors(LogSink& sink) : sink_(sink) { sink_.ForgetErrors(LogSink::From::kThisThread); }
    std::string Text() const { return sink_.Errors(LogSink::From::kThisThread); }

   private:
    LogSink& sink_;
  };

  std::shared_ptr<EngineState> state_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  bool first_ = true;
};

}  // namespace

NvEngine::NvEngine(std::shared_ptr<Binaries> binaries, Bytes plan, Bytes cache, std::shared_ptr<LogSink> log)
    : state_(new EngineState{std::move(binaries), Logger(std::move(log)), nullptr, nullptr, {}, {}, {}, {}}) {
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
  sink.ForgetErrors();
  state_->cache.Start(*state_->engine, cache, state_->logger);
  Describe();
  CheckLog(sink, TRTDET_PLAN, "TensorRT does not tell what the plan has");
}

void NvEngine::Describe() {
  using Mode = nvinfer1::TensorIOMode;
  using Selector = nvinfer1::OptProfileSelector;
  nvinfer1::ICudaEngine& engine = *state_->engine;
  for (int32_t i = 0; i < engine.getNbIOTensors(); ++i) {
    const std::string name = Text(engine.getIOTensorName(i));
    const bool input = engine.getTensorIOMode(name.c_str()) == Mode::kINPUT;
    (input ? state_->inputs : state_->outputs)
        .push_back({name, engine.getTensorDataType(name.c_str()), engine.getTensorShape(name.c_str())});
  }
  for (int32_t p = 0; p < engine.getNbOptimizationProfiles(); ++p) {
    EngineState::Profile profile{{}, engine.getDeviceMemorySizeForProfileV2(p)};
    for (const EngineState::Tensor& input : state_->inputs) {
      const auto shape = [&](Selector which) { return ToShape(engine.getProfileShape(input.name.c_str(), p, which)); };
      profile.shapes[input.name] = {shape(Selector::kMIN), shape(Selector::kOPT), shape(Selector::kMAX)};
    }
    state_->profiles.push_back(std::move(profile));
  }
}

int32_t NvEngine::TensorCount(trtdet_role role) const { return static_cast<int32_t>(state_->Tensors(role).size()); }

trtdet_tensor NvEngine::Tensor(trtdet_role role, int32_t index) const {
  const EngineState::Tensor& tensor = state_->Tensors(role)[static_cast<std::size_t>(index)];
  return ToTensor(tensor.name, tensor.dtype, tensor.dims);
}

int32_t NvEngine::ProfileCount() const { return static_cast<int32_t>(state_->profiles.size()); }

ShapeRange NvEngine::ProfileShape(int32_t profile, const std::string& input) const {
  const auto& shapes = state_->profiles[static_cast<std::size_t>(profile)].shapes;
  const auto found = shapes.find(input);
  if (found == shapes.end()) throw Error(TRTDET_INVALID, "the engine has no input " + input);
  return found->second;
}

std::unique_ptr<Plan> NvEngine::Cache() const {
  if (!kIsRtx) return std::make_unique<NvCache>(state_, nullptr);
  LogSink& sink = state_->logger.sink();
  sink.ForgetErrors(LogSink::From::kThisThread);
  auto cache = std::make_unique<NvCache>(state_, state_->cache.Serialize());
  const std::string errors = sink.Errors(LogSink::From::kThisThread);
  if (cache->Data().data == nullptr || !errors.empty()) {
    throw Error(TRTDET_RUN, "TensorRT-RTX does not give what it has compiled", errors);
  }
  return cache;
}

int64_t NvEngine::MemorySize(int32_t profile) const {
  return state_->profiles[static_cast<std::size_t>(profile)].memory_size;
}

std::unique_ptr<Context> NvEngine::CreateContext(int32_t profile, uint64_t stream) {
  return std::make_unique<NvContext>(state_, profile, stream);
}

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE
