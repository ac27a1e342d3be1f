// From a network to a serialized plan.
#include <algorithm>
#include <limits>
#include <mutex>
#include <vector>

#include "../error.h"
#include "builder.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {
namespace {

using HostMemory = std::unique_ptr<nvinfer1::IHostMemory>;

class NvPlan final : public Plan {
 public:
  NvPlan(std::shared_ptr<BuilderState> state, HostMemory plan, HostMemory timing_cache)
      : state_(std::move(state)),
        plan_(std::move(plan)),
        timing_cache_(std::move(timing_cache)),
        data_(BytesOf(plan_)),
        timings_(BytesOf(timing_cache_)) {}
  Bytes Data() const override { return data_; }
  Bytes TimingCache() const override { return timings_; }

 private:
  static Bytes BytesOf(const HostMemory& memory) {
    return memory == nullptr ? Bytes{} : Bytes{memory->data(), memory->size()};
  }

  std::shared_ptr<BuilderState> state_;
  HostMemory plan_;
  HostMemory timing_cache_;
  Bytes data_;
  Bytes timings_;
};

// Tells of the phases and remembers that the build was called off. TensorRT
// calls it from several threads.
class Monitor final : public nvinfer1::IProgressMonitor {
 public:
  explicit Monitor(const Progress& progress) : progress_(progress) {}

  void phaseStart(const char* phase, const char* parent, int32_t steps) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_.push_back({phase, parent == nullptr ? "" : parent, steps});
    Tell(phases_.back(), 0, false);
  }

  bool stepComplete(const char* phase, int32_t step) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = Find(phase); it != phases_.end()) Tell(*it, step + 1, false);
    return !canceled_;
  }

  void phaseFinish(const char* phase) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = Find(phase);
    if (it == phases_.end()) return;
    Tell(*it, it->steps, true);
    phases_.erase(it);
  }

  bool canceled() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return canceled_;
  }

 private:
  struct Phase {
    std::string name;
    std::string parent;
    int32_t steps;
  };

  std::vector<Phase>::iterator Find(const std::string& name) {
    auto it = phases_.end();
    while (it != phases_.begin()) {
      if ((--it)->name == name) return it;
    }
    return phases_.end();
  }

  void Tell(const Phase& phase, int32_t step, bool done) {
    const char* parent = phase.parent.empty() ? nullptr : phase.parent.c_str();
    if (!progress_(phase.name.c_str(), parent, step, phase.steps, done)) canceled_ = true;
  }

  const Progress& progress_;
  mutable std::mutex mutex_;
  std::vector<Phase> phases_;
  bool canceled_ = false;
};

nvinfer1::Dims ToDims(const Shape& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
  return dims;
}

void AddProfiles(nvinfer1::IBuilder& builder, const BuildConfig& config, nvinfer1::IBuilderConfig& nv,
                 const LogSink& sink) {
  for (const auto& shapes : config.profiles) {
    nvinfer1::IOptimizationProfile* profile = builder.createOptimizationProfile();
    bool ok = profile != nullptr;
    for (const auto& [input, range] : shapes) {
      using Selector = nvinfer1::OptProfileSelector;
      ok = ok && profile->setDimensions(input.c_str(), Selector::kMIN, ToDims(range.min)) &&
           profile->setDimensions(input.c_str(), Selector::kOPT, ToDims(range.opt)) &&
           profile->setDimensions(input.c_str(), Selector::kMAX, ToDims(range.max));
    }
    if (!ok || nv.addOptimizationProfile(profile) < 0) {
      throw Error(TRTDET_INVALID, "TensorRT refuses the profile's shapes", sink.Errors());
    }
  }
}

#if TRTDET_FLAVOR == 1
void SetTargets(const BuildConfig& config, nvinfer1::IBuilderConfig& nv, const LogSink& sink) {
  if (config.targets.empty()) return;
  const auto count = static_cast<int32_t>(config.targets.size());
  if (!nv.setNbComputeCapabilities(count)) {
    throw Error(TRTDET_UNSUPPORTED, "TensorRT-RTX refuses " + std::to_string(count) + " targets at once",
                sink.Errors());
  }
  for (int32_t i = 0; i < count; ++i) {
    const int32_t target = config.targets[static_cast<std::size_t>(i)];
    if (!nv.setComputeCapability(static_cast<nvinfer1::ComputeCapability>(target), i)) {
      throw Error(TRTDET_UNSUPPORTED,
                  "TensorRT-RTX cannot build for compute capability " + std::to_string(target / 10) + '.' +
                      std::to_string(target % 10),
                  sink.Errors());
    }
  }
}

// A run that allocates memory cannot be captured into a CUDA graph. Some layers
// must allocate: with them TensorRT-RTX would refuse to build.
void ForbidAllocation(const nvinfer1::INetworkDefinition& network, int32_t version, nvinfer1::IBuilderConfig& nv) {
  if (version < 10200) return;  // which has no such flag
  for (int32_t i = 0; i < network.getNbLayers(); ++i) {
    using Type = nvinfer1::LayerType;
    const nvinfer1::ILayer* layer = network.getLayer(i);
    if (layer == nullptr) continue;  // the log says why
    const Type type = layer->getType();
    if (type == Type::kNON_ZERO || type == Type::kNMS || type == Type::kTRIP_LIMIT) return;
  }
  nv.setFlag(nvinfer1::BuilderFlag::kREQUIRE_USER_ALLOCATION);
}

// TensorRT-RTX has no tactics to time: it compiles kernels on the GPU.
class TimingCache {
 public:
  TimingCache(const BuildConfig&, nvinfer1::IBuilderConfig&, const LogSink&) {}
  HostMemory Serialize(LogSink&) const { return nullptr; }
};
#else
void SetTargets(const BuildConfig& config, nvinfer1::IBuilderConfig&, const LogSink&) {
  if (config.targets.empty()) return;
  throw Error(TRTDET_UNSUPPORTED,
              "targets are TensorRT-RTX's: this TensorRT builds for the GPU of the machine it runs on");
}

void ForbidAllocation(const nvinfer1::INetworkDefinition&, int32_t, nvinfer1::IBuilderConfig&) {}

// Must outlive the build that it is set for.
class TimingCache {
 public:
  TimingCache(const BuildConfig& config, nvinfer1::IBuilderConfig& nv, const LogSink& sink) {
    if (!config.timing_cache) return;
    cache_.reset(nv.createTimingCache(config.timing_cache->data(), config.timing_cache->size()));
    if (cache_ == nullptr || !nv.setTimingCache(*cache_, /*ignoreMismatch=*/false)) {
      throw Error(TRTDET_INVALID,
                  "the timing cache is damaged or was made by another TensorRT or on another GPU: delete it",
                  sink.Errors());
    }
  }
  HostMemory Serialize(LogSink& sink) const {
    if (cache_ == nullptr) return nullptr;
    sink.ForgetErrors();
    HostMemory timings(cache_->serialize());
    if (timings == nullptr) throw Error(TRTDET_BUILD, "TensorRT does not give its timing cache", sink.Errors());
    return timings;
  }

 private:
  std::unique_ptr<nvinfer1::ITimingCache> cache_;
};
#endif

void Configure(nvinfer1::IBuilder& builder, const BuildConfig& config, nvinfer1::IBuilderConfig& nv,
               const LogSink& sink) {
  AddProfiles(builder, config, nv, sink);
  SetTargets(config, nv, sink);
  if (config.workspace_bytes) {
    constexpr uint64_t kMost = std::numeric_limits<std::size_t>::max();
    nv.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE,
                          static_cast<std::size_t>(std::min(*config.workspace_bytes, kMost)));
  }
  if (config.optimization_level && !kIsRtx) nv.setBuilderOptimizationLevel(*config.optimization_level);
}

Error NoPlan(const std::string& errors) {
  const bool incomplete = errors.find("libnvinfer_builder_resource") != std::string::npos;
  return {TRTDET_BUILD,
          incomplete ? "this TensorRT has not all that it builds with for this GPU: install all of TensorRT"
                     : "TensorRT built no plan",
          errors};
}

}  // namespace

std::unique_ptr<Plan> NvNetwork::Build(const BuildConfig& config, const Progress& progress) {
  std::vector<trtdet_tensor> inputs;
  inputs.reserve(static_cast<std::size_t>(TensorCount(TRTDET_INPUT)));
  for (int32_t i = 0; i < TensorCount(TRTDET_INPUT); ++i) inputs.push_back(Tensor(TRTDET_INPUT, i));
  config.CheckAgainst(inputs);

  LogSink& sink = state_->logger.sink();
  sink.ForgetErrors();
  Monitor monitor(progress);
  const std::unique_ptr<nvinfer1::IBuilderConfig> nv(state_->builder->createBuilderConfig());
  if (nv == nullptr) throw Error(TRTDET_BUILD, "TensorRT made no configuration", sink.Errors());
  sink.ForgetErrors();
  Configure(*state_->builder, config, *nv, sink);
  ForbidAllocation(*network_, state_->binaries->version, *nv);
  const TimingCache timing_cache(config, *nv, sink);
  if (progress) nv->setProgressMonitor(&monitor);
  CheckLog(sink, TRTDET_BUILD, "TensorRT refuses a setting");

  HostMemory built(state_->builder->buildSerializedNetwork(*network_, *nv));
  if (monitor.canceled()) throw Error(TRTDET_CANCELED, "the build was canceled");
  if (built == nullptr) throw NoPlan(sink.Errors());
  sink.ForgetErrors();
  auto plan = std::make_unique<NvPlan>(state_, std::move(built), timing_cache.Serialize(sink));
  CheckLog(sink, TRTDET_BUILD, "TensorRT does not give the plan");
  if (plan->Data().size == 0) throw NoPlan("");
  return plan;
}

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE
