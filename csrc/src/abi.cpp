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
    const int32_t count = network->network->TensorCount(role);
    if (index < 0 || index >= count) {
      throw Error(TRTDET_INVALID, "tensor " + std::to_string(index) + " of " + std::to_string(count));
    }
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
    if (rank < 0 || rank > TRTDET_MAX_RANK) {
      throw Error(TRTDET_INVALID, "a shape has 0 to 8 dimensions, not " + std::to_string(rank));
    }
    config->config.AddShape(
        profile, input,
        {trtdet::Shape(min, min + rank), trtdet::Shape(opt, opt + rank), trtdet::Shape(max, max + rank)});
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

}  // extern "C"
