// The builder of a simulated TensorRT: plans are the ONNX file with what the
// builder was told.
#include <cuda.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "network.h"

namespace simgpu {
namespace {

using nvinfer1::Dims;
using Selector = nvinfer1::OptProfileSelector;

class Profile final : public nvinfer1::IOptimizationProfile, public nvinfer1::apiv::VOptimizationProfileStub {
 public:
  explicit Profile(nvinfer1::ILogger& log) : log_(log) { mImpl = this; }

  bool setDimensions(const char* input, Selector which, const Dims& dims) noexcept override {
    if (Fails(log_, "IOptimizationProfile::setDimensions")) return false;
    ShapeRange& range = ranges[input];
    (which == Selector::kMIN ? range.min : which == Selector::kOPT ? range.opt : range.max) = ToShape(dims);
    return true;
  }

  bool Whole() const {
    return std::all_of(ranges.begin(), ranges.end(), [](const auto& input) {
      const ShapeRange& range = input.second;
      if (range.min.size() != range.opt.size() || range.opt.size() != range.max.size()) return false;
      for (std::size_t i = 0; i < range.min.size(); ++i) {
        if (range.min[i] > range.opt[i] || range.opt[i] > range.max[i]) return false;
      }
      return true;
    });
  }

  std::map<std::string, ShapeRange> ranges;

 private:
  nvinfer1::ILogger& log_;
};

constexpr const char* kTimings = "simulated timings\n";

class TimingCache final : public nvinfer1::ITimingCache, public nvinfer1::apiv::VTimingCacheStub, private Counted {
 public:
  TimingCache(nvinfer1::ILogger& log, std::string known) : timings(std::move(known)), log_(log) { mImpl = this; }
  nvinfer1::IHostMemory* serialize() const noexcept override {
    return Fails(log_, "ITimingCache::serialize") ? nullptr : new HostMemory(log_, timings);
  }

  std::string timings;

 private:
  nvinfer1::ILogger& log_;
};

class Config final : public nvinfer1::IBuilderConfig, public nvinfer1::apiv::VBuilderConfigStub, private Counted {
 public:
  Config(nvinfer1::ILogger& log, std::shared_ptr<void> child) : child_(std::move(child)), log_(log) { mImpl = this; }

  // Virtual in the public class too, for calls through either.
  void setAvgTimingIterations(int32_t) noexcept override { NotSimulated("IBuilderConfig::setAvgTimingIterations"); }

  int32_t addOptimizationProfile(const nvinfer1::IOptimizationProfile* profile) noexcept override {
    if (Fails(log_, "IBuilderConfig::addOptimizationProfile")) return -1;
    const auto& added = static_cast<const Profile&>(*profile);
    if (!added.Whole()) {
      Refuse(log_, "a profile does not say min <= opt <= max");
      return -1;
    }
    plan.profiles.push_back(added.ranges);
    return static_cast<int32_t>(plan.profiles.size()) - 1;
  }

  void setMemoryPoolLimit(nvinfer1::MemoryPoolType pool, std::size_t bytes) noexcept override {
    if (Fails(log_, "IBuilderConfig::setMemoryPoolLimit")) return;
    if (pool != nvinfer1::MemoryPoolType::kWORKSPACE) NotSimulated("a memory pool that is no workspace");
    workspace = bytes;
    Say("workspace") << bytes << '\n';
  }

  void setBuilderOptimizationLevel(int32_t level) noexcept override {
    if (!Fails(log_, "IBuilderConfig::setBuilderOptimizationLevel")) Say("optimization level") << level << '\n';
  }

  void setFlag(nvinfer1::BuilderFlag flag) noexcept override {
    if (Fails(log_, "IBuilderConfig::setFlag")) return;
#if NV_TENSORRT_MAJOR == 1
    const bool known = LibraryVersion() >= kCapturable || flag != nvinfer1::BuilderFlag::kREQUIRE_USER_ALLOCATION;
    if (!known) NotSimulated("a flag of TensorRT-RTX 1.2 in an older one");
#endif
    Say("flag") << static_cast<int>(flag) << '\n';
  }

  void setProgressMonitor(nvinfer1::IProgressMonitor* told) noexcept override {
    if (!Fails(log_, "IBuilderConfig::setProgressMonitor")) monitor = told;
  }

  nvinfer1::ITimingCache* createTimingCache(const void* blob, std::size_t size) const noexcept override {
    if (Fails(log_, "IBuilderConfig::createTimingCache")) return nullptr;
    const std::string known = size == 0 ? kTimings : std::string(static_cast<const char*>(blob), size);
    if (known.rfind(kTimings, 0) != 0) {
      Refuse(log_, "the timing cache is no timing cache");
      return nullptr;
    }
    return new TimingCache(log_, known);
  }

  bool setTimingCache(const nvinfer1::ITimingCache& cache, bool) noexcept override {
    if (Fails(log_, "IBuilderConfig::setTimingCache")) return false;
    // TensorRT writes into the cache that it is given as constant
    timings = const_cast<TimingCache*>(&static_cast<const TimingCache&>(cache));
    return true;
  }

#if NV_TENSORRT_MAJOR == 1
  bool setNbComputeCapabilities(int32_t count) noexcept override {
    if (Fails(log_, "IBuilderConfig::setNbComputeCapabilities")) return false;
    targets.assign(static_cast<std::size_t>(count), 0);
    return true;
  }

  bool setComputeCapability(nvinfer1::ComputeCapability target, int32_t index) noexcept override {
    if (Fails(log_, "IBuilderConfig::setComputeCapability")) return false;
    if (Bit(static_cast<int32_t>(target)) == 0) {
      return Refuse(log_, "compute capability " + std::to_string(static_cast<int32_t>(target)) + " is not supported");
    }
    targets[static_cast<std::size_t>(index)] = static_cast<int32_t>(target);
    return true;
  }
#endif

  // The bit of a compute capability in a TensorRT-RTX plan's header, 0 for none.
  static uint64_t Bit(int32_t target) {
    constexpr int32_t kKnown[] = {75, 80, 86, 89, 120, 121};
    const auto* const found = std::find(std::begin(kKnown), std::end(kKnown), target);
    return found == std::end(kKnown) ? 0 : uint64_t{1} << (found - std::begin(kKnown));
  }

  Plan plan;
  std::size_t workspace = SIZE_MAX;
  std::vector<int32_t> targets;
  nvinfer1::IProgressMonitor* monitor = nullptr;
  TimingCache* timings = nullptr;

 private:
  // Adds a line to the plan's settings.
  class Line {
   public:
    Line(std::string& to, const char* what) : to_(to) { text_ << what << ' '; }
    ~Line() { to_ += text_.str(); }
    template <typename T>
    Line& operator<<(const T& value) {
      text_ << value;
      return *this;
    }

   private:
    std::string& to_;
    std::ostringstream text_;
  };

  Line Say(const char* what) { return {plan.settings, what}; }

  std::shared_ptr<void> child_;
  nvinfer1::ILogger& log_;
};

// Tells of phases, one within another, as TensorRT does.
class Phases {
 public:
  explicit Phases(nvinfer1::IProgressMonitor* monitor) : monitor_(monitor) {}

  // Returns false where the build was called off.
  bool Run() {
    if (monitor_ == nullptr) return true;
    monitor_->phaseStart(kOuter, nullptr, 2);
    const bool goes_on = monitor_->stepComplete(kOuter, 0) && Inner() && monitor_->stepComplete(kOuter, 1);
    monitor_->phaseFinish(kOuter);
    return goes_on;
  }

 private:
  static constexpr const char* kOuter = "Building an engine";
  static constexpr const char* kInner = "Simulating";

  bool Inner() {
    monitor_->phaseStart(kInner, kOuter, 3);
    bool goes_on = true;
    for (int32_t step = 0; goes_on && step < 3; ++step) goes_on = monitor_->stepComplete(kInner, step);
    monitor_->phaseFinish(kInner);
    return goes_on;
  }

  nvinfer1::IProgressMonitor* monitor_;
};

class Builder final : public nvinfer1::IBuilder, public nvinfer1::apiv::VBuilderStub, private Counted {
 public:
  explicit Builder(nvinfer1::ILogger& log) : log_(log) { mImpl = this; }

  nvinfer1::INetworkDefinition* createNetworkV2(nvinfer1::NetworkDefinitionCreationFlags flags) noexcept override {
    if (Fails(log_, "IBuilder::createNetworkV2")) return nullptr;
    using Flag = nvinfer1::NetworkDefinitionCreationFlag;
    if ((flags & 1U << static_cast<uint32_t>(Flag::kSTRONGLY_TYPED)) == 0) {
      Refuse(log_, "the network is not strongly typed");
      return nullptr;
    }
    return MakeNetwork(log_, networks_.Another()).release();
  }

  nvinfer1::IBuilderConfig* createBuilderConfig() noexcept override {
    return Fails(log_, "IBuilder::createBuilderConfig") ? nullptr : new Config(log_, configs_.Another());
  }

  nvinfer1::IOptimizationProfile* createOptimizationProfile() noexcept override {
    if (Fails(log_, "IBuilder::createOptimizationProfile")) return nullptr;
    profiles_.push_back(std::make_unique<Profile>(log_));
    return profiles_.back().get();
  }

  nvinfer1::IHostMemory* buildSerializedNetwork(nvinfer1::INetworkDefinition& network,
                                                nvinfer1::IBuilderConfig& config) noexcept override {
    if (Fails(log_, "IBuilder::buildSerializedNetwork")) return nullptr;
    auto& asked = static_cast<Config&>(config);
    const Contents contents = ContentsOf(network);
    if (asked.workspace < std::size_t{1} << 20) {
      Refuse(log_, "no tactic fits a workspace of " + std::to_string(asked.workspace) + " bytes");
      return nullptr;
    }
    Plan plan = asked.plan;
    plan.onnx = contents.onnx;
    if (plan.profiles.empty()) plan.profiles.resize(1);
    for (auto& profile : plan.profiles) {
      for (const auto& [input, shape] : contents.inputs) {
        const bool dynamic = std::any_of(shape.begin(), shape.end(), [](int64_t n) { return n < 0; });
        if (profile.count(input) == 0 && dynamic) {
          Refuse(log_, "input " + input + " is dynamic and has no profile");
          return nullptr;
        }
        profile.try_emplace(input, ShapeRange{shape, shape, shape});
      }
    }
    const std::vector<int32_t> all = {80, 86, 89, 120, 121};
    for (const int32_t target : asked.targets.empty() ? all : asked.targets) plan.capabilities |= Config::Bit(target);
    if (!Phases(asked.monitor).Run()) {
      Refuse(log_, "the build was interrupted by the progress monitor");
      return nullptr;
    }
    if (asked.timings != nullptr) {
      plan.settings += "timing cache of " + std::to_string(asked.timings->timings.size()) + " bytes\n";
      asked.timings->timings += std::to_string(contents.onnx.size()) + '\n';
    }
    return new HostMemory(log_, Write(plan));
  }

 private:
  nvinfer1::ILogger& log_;
  std::vector<std::unique_ptr<Profile>> profiles_;  // freed with their builder, as TensorRT's are
  Children networks_{"a builder is freed before its networks"};
  Children configs_{"a builder is freed before its configurations"};
};

// Says what TensorRT does where there is no GPU. TensorRT-RTX builds without one
// and does not look for more than a driver.
bool HasGpu(nvinfer1::ILogger& log) {
  const auto get = Driver<CUresult (*)(int*)>("cuDeviceGetCount");
  if (get == nullptr) return Refuse(log, "CUDA initialization failure with error: 35");
  int count = 0;
  if (kIsRtx || (get(&count) == CUDA_SUCCESS && count > 0)) return true;
  return Refuse(log, "CUDA initialization failure with error: 100: cuDeviceGetCount");
}

}  // namespace
}  // namespace simgpu

void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept {
  auto& log = *static_cast<nvinfer1::ILogger*>(logger);
  if (simgpu::Fails(log, "createInferBuilder_INTERNAL")) return nullptr;
  if (!simgpu::HasGpu(log) && !simgpu::kIsRtx) return nullptr;
  if (version != simgpu::LibraryVersion()) {
    simgpu::Refuse(log, "the library is asked for another version than its own");
    return nullptr;
  }
  return static_cast<nvinfer1::IBuilder*>(new simgpu::Builder(log));
}
