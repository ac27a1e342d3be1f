// A plan made ready to run, and its runs.
#ifndef TRTDET_SRC_NVINFER_ENGINE_H_
#define TRTDET_SRC_NVINFER_ENGINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../flavor.h"
#include "api.h"
#include "library.h"
#include "logger.h"
#include "runtime_cache.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

// What contexts share with their engine. The order of the members is their
// lifetime: the engine goes first, then the runtime, its logger, then the code.
struct EngineState {
  struct Tensor {
    std::string name;
    nvinfer1::DataType dtype;
    nvinfer1::Dims dims;
  };
  struct Profile {
    std::map<std::string, ShapeRange> shapes;  // by input
    int64_t memory_size;
  };

  std::shared_ptr<Binaries> binaries;
  Logger logger;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  RuntimeCache cache;
  // What the plan says of itself is asked once, when it is loaded: no other
  // thread logs to this engine's sink yet.
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  std::vector<Profile> profiles;

  const std::vector<Tensor>& Tensors(trtdet_role role) const { return role == TRTDET_INPUT ? inputs : outputs; }
};

class NvEngine final : public Engine {
 public:
  NvEngine(std::shared_ptr<Binaries> binaries, Bytes plan, Bytes cache, std::shared_ptr<LogSink> log);
  int32_t TensorCount(trtdet_role role) const override;
  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override;
  int32_t ProfileCount() const override;
  ShapeRange ProfileShape(int32_t profile, const std::string& input) const override;
  std::unique_ptr<Plan> Cache() const override;
  int64_t MemorySize(int32_t profile) const override;
  std::unique_ptr<Context> CreateContext(int32_t profile, uint64_t stream) override;

 private:
  void Describe();

  std::shared_ptr<EngineState> state_;
};

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_ENGINE_H_
