// What every TensorRT must be able to do, in words that no TensorRT header is
// needed for. Each flavor implements these classes once and hands out one table
// of entries; abi.cpp is written against this file only.
//
// Anything here may throw trtdet::Error or what the standard library throws.
// Lifetimes: what was made holds a shared_ptr to what it was made from.
#ifndef TRTDET_SRC_FLAVOR_H_
#define TRTDET_SRC_FLAVOR_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "build_config.h"
#include "log_sink.h"
#include "trtdet.h"

namespace trtdet {

// Bytes that belong to the object which returned them.
struct Bytes {
  const void* data = nullptr;
  std::size_t size = 0;
};

// Memory on a device.
struct Memory {
  uint64_t address = 0;
  int64_t size = 0;
};

class Plan {
 public:
  virtual ~Plan() = default;
  virtual Bytes Data() const = 0;
  virtual Bytes TimingCache() const = 0;
};

// See trtdet_progress; false cancels.
using Progress = std::function<bool(const char* phase, const char* parent, int32_t step, int32_t steps, bool done)>;

class Network {
 public:
  virtual ~Network() = default;
  virtual int32_t TensorCount(trtdet_role role) const = 0;
  // index is in range; the name lives as long as the network.
  virtual trtdet_tensor Tensor(trtdet_role role, int32_t index) const = 0;
  virtual std::unique_ptr<Plan> Build(const BuildConfig& config, const Progress& progress) = 0;
};

class Builder {
 public:
  virtual ~Builder() = default;
  virtual std::unique_ptr<Network> Parse(const std::string& onnx_path) = 0;
};

class Context {
 public:
  virtual ~Context() = default;
  virtual void SetShape(const std::string& input, const Shape& shape) = 0;
  // With the shapes that are set.
  virtual int64_t MemorySize() = 0;
  virtual void SetMemory(Memory memory) = 0;
  // index is in range; the name lives as long as the context.
  virtual trtdet_tensor Tensor(trtdet_role role, int32_t index) const = 0;
  virtual void SetAddress(const char* tensor, uint64_t address) = 0;
  virtual bool Capturable(uint64_t stream) const = 0;
  virtual void Enqueue(uint64_t stream) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual int32_t TensorCount(trtdet_role role) const = 0;
  // index is in range; the name lives as long as the engine.
  virtual trtdet_tensor Tensor(trtdet_role role, int32_t index) const = 0;
  virtual int32_t ProfileCount() const = 0;
  // profile is in range.
  virtual ShapeRange ProfileShape(int32_t profile, const std::string& input) const = 0;
  virtual std::unique_ptr<Plan> Cache() const = 0;
  // profile is in range.
  virtual int64_t MemorySize(int32_t profile) const = 0;
  virtual std::unique_ptr<Context> CreateContext(int32_t profile, uint64_t stream) = 0;
};

class Library {
 public:
  virtual ~Library() = default;
  virtual const std::string& Version() const = 0;
  virtual std::unique_ptr<Builder> CreateBuilder(std::shared_ptr<LogSink> log) = 0;
  virtual std::unique_ptr<Engine> LoadEngine(Bytes plan, Bytes cache, std::shared_ptr<LogSink> log) = 0;
};

// One table per flavor.
struct Flavor {
  trtdet_flavor id;
  const char* name;     // "TensorRT-RTX", for messages
  const char* headers;  // version of the headers it was compiled with
  std::unique_ptr<Library> (*open)(const std::string& path, const std::string& parser_path);
};

const Flavor& FlavorRtx1() noexcept;
const Flavor& Flavor10() noexcept;
const Flavor& Flavor11() noexcept;

}  // namespace trtdet

#endif  // TRTDET_SRC_FLAVOR_H_
