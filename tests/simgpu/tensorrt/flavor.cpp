// A TensorRT whose plan is the ONNX file, run by ONNX Runtime when its turn in
// the stream comes. It calls itself TensorRT 10.
#include "flavor.h"

#include <cuda.h>
#include <dlfcn.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "../simgpu.h"
#include "entries.h"
#include "error.h"
#include "foreign.h"
#include "session.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// By this trtdet reads a library's version off the file.
EXPORT const int tensorrt_version_10_99_0_0 = 0;

namespace simgpu {
namespace {

using trtdet::Bytes;
using trtdet::Error;
using trtdet::Shape;
using trtdet::ShapeRange;
using Profiles = std::vector<std::map<std::string, ShapeRange>>;

constexpr const char* kProfiles = "simgpu.profiles";  // key in the plan's metadata

// The simulated driver, which the program has loaded before.
template <typename Function>
Function Driver(const char* name) {
  // NOLINTNEXTLINE(clang-analyzer-optin.taint.GenericTaint): whoever runs the test names the library
  static void* const library = dlopen(getenv("TRTDET_LIBCUDA"), RTLD_NOW | RTLD_NOLOAD);
  void* const address = library == nullptr ? nullptr : dlsym(library, name);
  if (address == nullptr) throw Error(TRTDET_NO_DRIVER, "the simulated TensorRT runs on the simulated driver only");
  return reinterpret_cast<Function>(address);
}

// Counts an entry as the driver counts its calls, and fails where it was told
// to.
void Enter(const char* entry, trtdet_code code = TRTDET_RUN) {
  static const auto enter = Driver<int (*)(const char*)>("simgpu_enter");
  if (enter(entry) != 0) throw Error(code, std::string(entry) + " was told to fail");
}

trtdet_tensor Describe(const Tensor& tensor, const Shape& dims) {
  trtdet_tensor out{};
  out.name = tensor.name.c_str();
  out.dtype = DTypeOf(tensor.type);
  out.rank = static_cast<int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), out.dims);
  return out;
}

const std::vector<Tensor>& TensorsOf(const Session& session, trtdet_role role) {
  return role == TRTDET_INPUT ? session.inputs() : session.outputs();
}

// Profiles as text: a line each of "profile input rank min... opt... max...".
std::string ToText(const Profiles& profiles) {
  std::ostringstream text;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    for (const auto& [input, range] : profiles[i]) {
      text << i << ' ' << input << ' ' << range.opt.size();
      for (const Shape* shape : {&range.min, &range.opt, &range.max}) {
        for (const int64_t n : *shape) text << ' ' << n;
      }
      text << '\n';
    }
  }
  return text.str();
}

Profiles FromText(const std::string& text) {
  Profiles profiles;
  std::istringstream lines(text);
  std::size_t profile = 0;
  std::size_t rank = 0;
  std::string input;
  while (lines >> profile >> input >> rank) {
    profiles.resize(std::max(profiles.size(), profile + 1));
    ShapeRange& range = profiles[profile][input];
    for (Shape* shape : {&range.min, &range.opt, &range.max}) {
      shape->resize(rank);
      for (int64_t& n : *shape) lines >> n;
    }
  }
  return profiles;
}

// Bytes that behind a serialized ModelProto add an entry to its metadata.
std::string MetadataEntry(const std::string& key, const std::string& value) {
  const auto field = [](int number, const std::string& bytes) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    std::size_t size = bytes.size();
    for (; size >= 0x80; size >>= 7) out += static_cast<char>((size & 0x7f) | 0x80);
    return out + static_cast<char>(size) + bytes;
  };
  return field(14, field(1, key) + field(2, value));
}

class SimPlan final : public trtdet::Plan {
 public:
  explicit SimPlan(std::string bytes) : bytes_(std::move(bytes)) {}
  Bytes Data() const override { return {bytes_.data(), bytes_.size()}; }
  Bytes TimingCache() const override { return {}; }

 private:
  std::string bytes_;
};

class SimNetwork final : public trtdet::Network {
 public:
  explicit SimNetwork(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    onnx_.assign(std::istreambuf_iterator<char>(file), {});
    session_ = std::make_unique<Session>(onnx_);
  }
  int32_t TensorCount(trtdet_role role) const override {
    return static_cast<int32_t>(TensorsOf(*session_, role).size());
  }
  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    const auto& tensor = TensorsOf(*session_, role)[static_cast<std::size_t>(index)];
    return Describe(tensor, tensor.dims);
  }
  std::unique_ptr<trtdet::Plan> Build(const trtdet::BuildConfig& config, const trtdet::Progress& progress) override {
    std::vector<trtdet_tensor> inputs;
    inputs.reserve(session_->inputs().size());
    for (int32_t i = 0; i < TensorCount(TRTDET_INPUT); ++i) inputs.push_back(Tensor(TRTDET_INPUT, i));
    config.CheckAgainst(inputs);
    Profiles profiles = config.profiles;
    if (profiles.empty()) profiles.resize(1);
    for (auto& profile : profiles) {
      for (const auto& input : session_->inputs())
        profile.try_emplace(input.name, ShapeRange{input.dims, input.dims, input.dims});
    }
    if (progress && !progress("Simulating", nullptr, 0, 1, false))
      throw Error(TRTDET_CANCELED, "the build was canceled");
    if (progress) progress("Simulating", nullptr, 1, 1, true);
    return std::make_unique<SimPlan>(onnx_ + MetadataEntry(kProfiles, ToText(profiles)));
  }

 private:
  std::string onnx_;
  std::unique_ptr<Session> session_;
};

class SimBuilder final : public trtdet::Builder {
 public:
  std::unique_ptr<trtdet::Network> Parse(const std::string& onnx_path) override {
    return std::make_unique<SimNetwork>(onnx_path);
  }
};

// Activations as the simulated TensorRT has them: one number, which tells runs
// apart that use the same memory at the same time.
constexpr int64_t kMemorySize = sizeof(uint64_t);

class SimContext final : public trtdet::Context {
 public:
  SimContext(std::shared_ptr<const Session> session, std::map<std::string, ShapeRange> profile, uint64_t memory)
      : session_(std::move(session)), profile_(std::move(profile)), memory_(memory) {
    for (const auto& [input, range] : profile_) {
      if (range.min == range.max) shapes_[input] = range.opt;
    }
  }

  void SetShape(const std::string& input, const Shape& shape) override {
    Enter("trtdet_context_set_shape");
    const auto it = profile_.find(input);
    bool fits = it != profile_.end() && shape.size() == it->second.min.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] >= it->second.min[i] && shape[i] <= it->second.max[i];
    }
    if (!fits) throw Error(TRTDET_INVALID, "input " + input + " cannot be " + trtdet::ToString(shape));
    Change();
    shapes_[input] = shape;
    outputs_.clear();
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    Enter("trtdet_context_tensor");
    const auto& tensor = TensorsOf(*session_, role)[static_cast<std::size_t>(index)];
    if (role == TRTDET_INPUT) return Describe(tensor, ShapeOf(tensor.name));
    return Describe(tensor, Outputs()[static_cast<std::size_t>(index)]);
  }

  void SetAddress(const char* tensor, uint64_t address) override {
    Enter("trtdet_context_set_address");
    if (address % 256 != 0) throw Error(TRTDET_INVALID, std::string("the address of ") + tensor + " is not aligned");
    Change();
    addresses_[tensor] = address;
  }

  bool Capturable(uint64_t) const override { return true; }

  void Enqueue(uint64_t stream) override {
    Enter("trtdet_context_enqueue");
    static const auto capturing = Driver<int (*)(void*)>("simgpu_capturing");
    captured_ |= capturing(reinterpret_cast<void*>(stream)) != 0;
    if (changed_) Prepare();
    static const auto launch = Driver<CUresult (*)(CUstream, CUhostFn, void*)>("cuLaunchHostFunc");
    if (launch(reinterpret_cast<CUstream>(stream), Run::Do, runs_.back().get()) != CUDA_SUCCESS) {
      throw Error(TRTDET_RUN, "the simulated driver refuses cuLaunchHostFunc");
    }
  }

 private:
  struct Run {
    struct Part {
      std::string name;
      uint64_t address, size;
      Shape dims;
    };
    std::shared_ptr<const Session> session;
    uint64_t memory;
    std::vector<Part> tensors;

    static void Do(void* data) {
      const auto& run = *static_cast<const Run*>(data);
      static const auto host_pointer = Driver<void* (*)(uint64_t, uint64_t)>("simgpu_host_pointer");
      std::map<std::string, Place> places;
      for (const Part& part : run.tensors) {
        void* const host = host_pointer(part.address, part.size);
        if (host == nullptr) return;  // the driver has written it down
        places[part.name] = {host, part.dims};
      }
      auto* const activations = static_cast<std::atomic<uint64_t>*>(host_pointer(run.memory, kMemorySize));
      if (activations == nullptr) return;
      static std::atomic<uint64_t> number{0};
      const uint64_t mine = ++number;
      *activations = mine;
      try {
        run.session->Run(places);
      } catch (const std::exception& error) {
        fprintf(stderr, "simgpu: %s\n", error.what());
      }
      if (*activations != mine) Violation("two contexts that share their memory ran at once");
    }
  };

  static void Violation(const char* what) {
    static const auto violation = Driver<void (*)(const char*)>("simgpu_violation");
    violation(what);
  }

  void Change() {
    if (captured_) Violation("a context is changed from which a graph was captured");
    changed_ = true;
  }

  // Makes what is run from now on. A graph keeps its run for as long as it lives, so runs live as long as their
  // context.
  void Prepare() {
    auto run = std::make_unique<Run>();
    run->session = session_;
    run->memory = memory_;
    const auto place = [&](const simgpu::Tensor& tensor, const Shape& dims) {
      const auto it = addresses_.find(tensor.name);
      if (it == addresses_.end()) throw Error(TRTDET_RUN, "tensor " + tensor.name + " has no address");
      run->tensors.push_back({tensor.name, it->second, CountOf(dims) * SizeOf(tensor.type), dims});
    };
    for (const auto& input : session_->inputs()) place(input, ShapeOf(input.name));
    const auto& outputs = Outputs();
    for (std::size_t i = 0; i < outputs.size(); ++i) place(session_->outputs()[i], outputs[i]);
    runs_.push_back(std::move(run));
    changed_ = false;
  }

  const Shape& ShapeOf(const std::string& input) const {
    const auto it = shapes_.find(input);
    if (it == shapes_.end()) throw Error(TRTDET_INVALID, "input " + input + " has no shape yet");
    return it->second;
  }

  const std::vector<Shape>& Outputs() const {
    if (outputs_.empty()) {
      for (const auto& input : session_->inputs()) ShapeOf(input.name);
      outputs_ = session_->OutputShapes(shapes_);
    }
    return outputs_;
  }

  std::shared_ptr<const Session> session_;
  std::map<std::string, ShapeRange> profile_;
  std::map<std::string, Shape> shapes_;
  mutable std::vector<Shape> outputs_;  // of the shapes now
  std::map<std::string, uint64_t> addresses_;
  uint64_t memory_;
  bool changed_ = true;
  bool captured_ = false;
  std::vector<std::unique_ptr<Run>> runs_;  // the last is what is run now
};

// What it compiles while an engine runs, as TensorRT-RTX does.
constexpr const char* kCache = "simulated kernels";

class SimEngine final : public trtdet::Engine {
 public:
  explicit SimEngine(Bytes plan)
      : session_(std::make_shared<Session>(std::string(static_cast<const char*>(plan.data), plan.size))),
        profiles_(FromText(session_->Metadata(kProfiles))) {
    if (profiles_.empty()) throw Error(TRTDET_PLAN, "this is no plan of the simulated TensorRT's");
  }
  int32_t TensorCount(trtdet_role role) const override {
    return static_cast<int32_t>(TensorsOf(*session_, role).size());
  }
  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    const auto& tensor = TensorsOf(*session_, role)[static_cast<std::size_t>(index)];
    return Describe(tensor, tensor.dims);
  }
  int32_t ProfileCount() const override { return static_cast<int32_t>(profiles_.size()); }
  ShapeRange ProfileShape(int32_t profile, const std::string& input) const override {
    return profiles_[static_cast<std::size_t>(profile)].at(input);
  }
  std::unique_ptr<trtdet::Plan> Cache() const override { return std::make_unique<SimPlan>(kCache); }
  int64_t MemorySize(int32_t) const override { return kMemorySize; }
  std::unique_ptr<trtdet::Context> CreateContext(int32_t profile, uint64_t, trtdet::Memory memory) override {
    Enter("trtdet_context_create");
    return std::make_unique<SimContext>(session_, profiles_[static_cast<std::size_t>(profile)], memory.address);
  }

 private:
  std::shared_ptr<const Session> session_;
  Profiles profiles_;
};

class SimLibrary final : public trtdet::Library {
 public:
  const std::string& Version() const override { return version_; }
  std::unique_ptr<trtdet::Builder> CreateBuilder(std::shared_ptr<trtdet::LogSink>) override {
    return std::make_unique<SimBuilder>();
  }
  std::unique_ptr<trtdet::Engine> LoadEngine(Bytes plan, Bytes cache, std::shared_ptr<trtdet::LogSink> log) override {
    Enter("trtdet_engine_load", TRTDET_PLAN);
    if (cache.size != 0 && std::string(static_cast<const char*>(cache.data), cache.size) != kCache) {
      log->Log(TRTDET_LOG_WARNING, "the runtime cache is another's: kernels are compiled again");
    }
    return std::make_unique<SimEngine>(plan);
  }

 private:
  std::string version_ = "10.99.0.0";
};

constexpr trtdet::Flavor kFlavor{TRTDET_FLAVOR_10, "simulated TensorRT 10", "10.99.0.0",
                                 [](const std::string&, const std::string&) -> std::unique_ptr<trtdet::Library> {
                                   return std::make_unique<SimLibrary>();
                                 }};

}  // namespace
}  // namespace simgpu

// What abi.cpp, which is compiled into this library too, asks for.
namespace trtdet {
std::unique_ptr<Library> OpenForeign(trtdet_flavor, const std::string&, const std::string&) { return nullptr; }
const Flavor& FlavorRtx1() noexcept { return simgpu::kFlavor; }
const Flavor& Flavor10() noexcept { return simgpu::kFlavor; }
const Flavor& Flavor11() noexcept { return simgpu::kFlavor; }
}  // namespace trtdet

EXPORT const trtdet::Entries* trtdet_entries() {
  static const trtdet::Entries entries = {
      TRTDET_ABI_VERSION,
#define TRTDET_ENTRY(name) ::trtdet_##name,
#include "entries.inc"
#undef TRTDET_ENTRY
  };
  return &entries;
}
