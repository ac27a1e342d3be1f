// The C entries: arguments checked, exceptions turned into errors, everything
// else handed to the flavor behind the handle.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "deep_stack.h"
#include "driver.h"
#include "error.h"
#include "flavor.h"
#include "trtdet.h"
#include "trtdet_engine.h"

struct trtdet_library {
  std::unique_ptr<trtdet::Library> library;
};
struct trtdet_builder {
  std::unique_ptr<trtdet::Builder> builder;
};
struct trtdet_network {
  std::unique_ptr<trtdet::Network> network;
};
struct trtdet_config {
  trtdet::BuildConfig config;
};
struct trtdet_plan {
  std::unique_ptr<trtdet::Plan> plan;
};
struct trtdet_engine {
  std::unique_ptr<trtdet::Engine> engine;
};
struct trtdet_context {
  std::unique_ptr<trtdet::Context> context;
  int32_t inputs, outputs;

  int32_t Count(trtdet_role role) const { return role == TRTDET_INPUT ? inputs : outputs; }
};

namespace {

using trtdet::Error;

template <typename Call>
trtdet_error* Guard(Call&& call) noexcept {
  try {
    call();
    return nullptr;
  } catch (...) {
    return trtdet::CurrentExceptionToC();
  }
}

void Require(const void* argument, const char* name) {
  if (argument == nullptr) throw Error(TRTDET_INVALID, std::string("argument ") + name + " is null");
}

const trtdet::Flavor* FindFlavor(trtdet_flavor id) noexcept {
  for (const trtdet::Flavor* flavor : {&trtdet::FlavorRtx1(), &trtdet::Flavor10(), &trtdet::Flavor11()}) {
    if (flavor->id == id) return flavor;
  }
  return nullptr;
}

void RequireBelow(int32_t index, int32_t count, const char* what) {
  if (index < 0 || index >= count) {
    throw Error(TRTDET_INVALID, std::string(what) + ' ' + std::to_string(index) + " of " + std::to_string(count));
  }
}

trtdet::Shape ToShape(int32_t rank, const int64_t* dims) {
  if (rank < 0 || rank > TRTDET_MAX_RANK) {
    throw Error(TRTDET_INVALID, "a shape has 0 to 8 dimensions, not " + std::to_string(rank));
  }
  return {dims, dims + rank};
}

const void* Give(const trtdet::Bytes& bytes, std::size_t* size) noexcept {
  if (size != nullptr) *size = bytes.size;
  return bytes.data;
}

}  // namespace

extern "C" {

uint32_t trtdet_abi_version(void) noexcept { return TRTDET_ABI_VERSION; }

const char* trtdet_flavor_headers(trtdet_flavor flavor) noexcept {
  const trtdet::Flavor* found = FindFlavor(flavor);
  return found == nullptr ? nullptr : found->headers;
}

trtdet_error* trtdet_driver_check(void) noexcept {
  return Guard([] {
    if (!trtdet::DriverStatus().ok) throw Error(TRTDET_NO_DRIVER, trtdet::DriverStatus().reason);
  });
}

trtdet_error* trtdet_library_open(trtdet_flavor flavor, const char* path, const char* parser_path,
                                  trtdet_library** out) noexcept {
  return Guard([&] {
    Require(path, "path");
    Require(parser_path, "parser_path");
    Require(out, "out");
    const trtdet::Flavor* found = FindFlavor(flavor);
    if (found == nullptr) throw Error(TRTDET_INVALID, "unknown flavor " + std::to_string(flavor));
    *out = new trtdet_library{found->open(path, parser_path)};
  });
}

const char* trtdet_library_version(const trtdet_library* library) noexcept {
  return library == nullptr ? "" : library->library->Version().c_str();
}

void trtdet_library_free(trtdet_library* library) noexcept { delete library; }

trtdet_error* trtdet_builder_create(trtdet_library* library, const trtdet_logger* logger,
                                    trtdet_builder** out) noexcept {
  return Guard([&] {
    // First, so that the logger is released whatever happens next.
    auto sink = std::make_shared<trtdet::LogSink>(logger == nullptr ? trtdet_logger{} : *logger);
    Require(library, "library");
    Require(out, "out");
    *out = new trtdet_builder{library->library->CreateBuilder(std::move(sink))};
  });
}

void trtdet_builder_free(trtdet_builder* builder) noexcept { delete builder; }

trtdet_error* trtdet_network_parse(trtdet_builder* builder, const char* onnx_path, trtdet_network** out) noexcept {
  return Guard([&] {
    Require(builder, "builder");
    Require(onnx_path, "onnx_path");
    Require(out, "out");
    auto network = std::make_unique<trtdet_network>();
    trtdet::OnDeepStack([&] { network->network = builder->builder->Parse(onnx_path); });
    *out = network.release();
  });
}

int32_t trtdet_network_tensor_count(const trtdet_network* network, trtdet_role role) noexcept {
  return network == nullptr ? 0 : network->network->TensorCount(role);
}

trtdet_error* trtdet_network_tensor(const trtdet_network* network, trtdet_role role, int32_t index,
                                    trtdet_tensor* out) noexcept {
  return Guard([&] {
    Require(network, "network");
    Require(out, "out");
    RequireBelow(index, network->network->TensorCount(role), "tensor");
    *out = network->network->Tensor(role, index);
  });
}

void trtdet_network_free(trtdet_network* network) noexcept { delete network; }

trtdet_error* trtdet_config_create(trtdet_config** out) noexcept {
  return Guard([&] {
    Require(out, "out");
    *out = new trtdet_config();
  });
}

void trtdet_config_free(trtdet_config* config) noexcept { delete config; }

trtdet_error* trtdet_config_shape(trtdet_config* config, int32_t profile, const char* input, int32_t rank,
                                  const int64_t* min, const int64_t* opt, const int64_t* max) noexcept {
  return Guard([&] {
    Require(config, "config");
    Require(input, "input");
    Require(min, "min");
    Require(opt, "opt");
    Require(max, "max");
    config->config.AddShape(profile, input, {ToShape(rank, min), ToShape(rank, opt), ToShape(rank, max)});
  });
}

trtdet_error* trtdet_config_workspace(trtdet_config* config, uint64_t bytes) noexcept {
  return Guard([&] {
    Require(config, "config");
    config->config.workspace_bytes = bytes;
  });
}

trtdet_error* trtdet_config_target(trtdet_config* config, int32_t compute_capability) noexcept {
  return Guard([&] {
    Require(config, "config");
    // TensorRT-RTX's enum has other meanings for small numbers (1 is "the GPU here").
    if (compute_capability < 50) {
      throw Error(TRTDET_INVALID, std::to_string(compute_capability) + " is no compute capability: 8.9 is 89");
    }
    auto& targets = config->config.targets;
    if (std::find(targets.begin(), targets.end(), compute_capability) != targets.end()) {
      throw Error(TRTDET_INVALID, "target " + std::to_string(compute_capability) + " is given twice");
    }
    targets.push_back(compute_capability);
  });
}

trtdet_error* trtdet_config_timing_cache(trtdet_config* config, const void* data, size_t size) noexcept {
  return Guard([&] {
    Require(config, "config");
    if (size != 0) Require(data, "data");
    const auto* bytes = static_cast<const std::byte*>(data);
    config->config.timing_cache.emplace(bytes, bytes + size);
  });
}

trtdet_error* trtdet_config_optimization_level(trtdet_config* config, int32_t level) noexcept {
  return Guard([&] {
    Require(config, "config");
    if (level < 0 || level > 5) {
      throw Error(TRTDET_INVALID, "the optimization level is 0 to 5, not " + std::to_string(level));
    }
    config->config.optimization_level = level;
  });
}

trtdet_error* trtdet_network_build(trtdet_network* network, const trtdet_config* config, trtdet_progress progress,
                                   void* progress_context, trtdet_plan** out) noexcept {
  return Guard([&] {
    Require(network, "network");
    Require(config, "config");
    Require(out, "out");
    trtdet::Progress tell;
    if (progress != nullptr) {
      tell = [=](const char* phase, const char* parent, int32_t step, int32_t steps, bool done) {
        return progress(progress_context, phase, parent, step, steps, done ? 1 : 0) != 0;
      };
    }
    auto plan = std::make_unique<trtdet_plan>();
    trtdet::OnDeepStack([&] { plan->plan = network->network->Build(config->config, tell); });
    *out = plan.release();
  });
}

const void* trtdet_plan_data(const trtdet_plan* plan, size_t* size) noexcept {
  return Give(plan == nullptr ? trtdet::Bytes{} : plan->plan->Data(), size);
}

const void* trtdet_plan_timing_cache(const trtdet_plan* plan, size_t* size) noexcept {
  return Give(plan == nullptr ? trtdet::Bytes{} : plan->plan->TimingCache(), size);
}

void trtdet_plan_free(trtdet_plan* plan) noexcept { delete plan; }

trtdet_error* trtdet_engine_load(trtdet_library* library, const trtdet_logger* logger, const void* plan, size_t size,
                                 const void* cache, size_t cache_size, trtdet_engine** out) noexcept {
  return Guard([&] {
    // First, so that the logger is released whatever happens next.
    auto sink = std::make_shared<trtdet::LogSink>(logger == nullptr ? trtdet_logger{} : *logger);
    Require(library, "library");
    Require(plan, "plan");
    if (cache_size != 0) Require(cache, "cache");
    Require(out, "out");
    *out = new trtdet_engine{library->library->LoadEngine({plan, size}, {cache, cache_size}, std::move(sink))};
  });
}

int32_t trtdet_engine_tensor_count(const trtdet_engine* engine, trtdet_role role) noexcept {
  return engine == nullptr ? 0 : engine->engine->TensorCount(role);
}

trtdet_error* trtdet_engine_tensor(const trtdet_engine* engine, trtdet_role role, int32_t index,
                                   trtdet_tensor* out) noexcept {
  return Guard([&] {
    Require(engine, "engine");
    Require(out, "out");
    RequireBelow(index, engine->engine->TensorCount(role), "tensor");
    *out = engine->engine->Tensor(role, index);
  });
}

int32_t trtdet_engine_profile_count(const trtdet_engine* engine) noexcept {
  return engine == nullptr ? 0 : engine->engine->ProfileCount();
}

trtdet_error* trtdet_engine_profile_shape(const trtdet_engine* engine, int32_t profile, const char* input, int64_t* min,
                                          int64_t* opt, int64_t* max) noexcept {
  return Guard([&] {
    Require(engine, "engine");
    Require(input, "input");
    Require(min, "min");
    Require(opt, "opt");
    Require(max, "max");
    RequireBelow(profile, engine->engine->ProfileCount(), "profile");
    const trtdet::ShapeRange range = engine->engine->ProfileShape(profile, input);
    std::copy(range.min.begin(), range.min.end(), min);
    std::copy(range.opt.begin(), range.opt.end(), opt);
    std::copy(range.max.begin(), range.max.end(), max);
  });
}

int64_t trtdet_engine_memory_size(const trtdet_engine* engine, int32_t profile) noexcept {
  return engine == nullptr || profile < 0 || profile >= engine->engine->ProfileCount()
             ? 0
             : engine->engine->MemorySize(profile);
}

trtdet_error* trtdet_engine_cache(const trtdet_engine* engine, trtdet_plan** out) noexcept {
  return Guard([&] {
    Require(engine, "engine");
    Require(out, "out");
    *out = new trtdet_plan{engine->engine->Cache()};
  });
}

void trtdet_engine_free(trtdet_engine* engine) noexcept { delete engine; }

trtdet_error* trtdet_context_create(trtdet_engine* engine, int32_t profile, uint64_t stream,
                                    trtdet_context** out) noexcept {
  return Guard([&] {
    Require(engine, "engine");
    Require(out, "out");
    RequireBelow(profile, engine->engine->ProfileCount(), "profile");
    *out = new trtdet_context{engine->engine->CreateContext(profile, stream), engine->engine->TensorCount(TRTDET_INPUT),
                              engine->engine->TensorCount(TRTDET_OUTPUT)};
  });
}

trtdet_error* trtdet_context_memory_size(trtdet_context* context, int64_t* size) noexcept {
  return Guard([&] {
    Require(context, "context");
    Require(size, "size");
    *size = context->context->MemorySize();
  });
}

trtdet_error* trtdet_context_set_memory(trtdet_context* context, uint64_t memory, int64_t size) noexcept {
  return Guard([&] {
    Require(context, "context");
    if (size < 0 || (size > 0 && memory == 0)) throw Error(TRTDET_INVALID, "no memory for a context");
    context->context->SetMemory({memory, size});
  });
}

trtdet_error* trtdet_context_set_shape(trtdet_context* context, const char* input, int32_t rank,
                                       const int64_t* dims) noexcept {
  return Guard([&] {
    Require(context, "context");
    Require(input, "input");
    Require(dims, "dims");
    context->context->SetShape(input, ToShape(rank, dims));
  });
}

trtdet_error* trtdet_context_tensor(const trtdet_context* context, trtdet_role role, int32_t index,
                                    trtdet_tensor* out) noexcept {
  return Guard([&] {
    Require(context, "context");
    Require(out, "out");
    RequireBelow(index, context->Count(role), "tensor");
    *out = context->context->Tensor(role, index);
  });
}

trtdet_error* trtdet_context_set_address(trtdet_context* context, const char* tensor, uint64_t address) noexcept {
  return Guard([&] {
    Require(context, "context");
    Require(tensor, "tensor");
    context->context->SetAddress(tensor, address);
  });
}

int32_t trtdet_context_capturable(const trtdet_context* context, uint64_t stream) noexcept {
  return context != nullptr && context->context->Capturable(stream) ? 1 : 0;
}

trtdet_error* trtdet_context_enqueue(trtdet_context* context, uint64_t stream) noexcept {
  return Guard([&] {
    Require(context, "context");
    context->context->Enqueue(stream);
  });
}

void trtdet_context_free(trtdet_context* context) noexcept { delete context; }

}  // extern "C"
