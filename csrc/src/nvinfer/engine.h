// A plan made ready to run, and its runs.
#ifndef TRTDET_SRC_NVINFER_ENGINE_H_
#define TRTDET_SRC_NVINFER_ENGINE_H_

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
  std::shared_ptr<Binaries> binaries;
  Logger logger;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  RuntimeCache cache;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;

  const std::vector<std::string>& Names(trtdet_role role) const { return role == TRTDET_INPUT ? inputs : outputs; }
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
  std::unique_ptr<Context> CreateContext(int32_t profile, uint64_t stream, Memory memory) override;

 private:
  std::shared_ptr<EngineState> state_;
};

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_ENGINE_H_
