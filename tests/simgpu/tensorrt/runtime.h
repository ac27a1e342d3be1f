// A plan of a simulated TensorRT made ready to run.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_RUNTIME_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_RUNTIME_H_

#include <memory>
#include <string>
#include <vector>

#include "calls.h"
#include "plan.h"
#include "session.h"

namespace simgpu {

// What contexts share with their engine.
struct Loaded {
  nvinfer1::ILogger& log;
  Plan plan;
  Session network;

  Loaded(nvinfer1::ILogger& to, Plan of) : log(to), plan(std::move(of)), network(plan.onnx) {}
  // Null where there is no such input or output.
  const Tensor* Find(const std::string& name) const;
  bool IsInput(const std::string& name) const;
};

// How a context is made.
struct Strategies {
  nvinfer1::ExecutionContextAllocationStrategy memory = nvinfer1::ExecutionContextAllocationStrategy::kSTATIC;
  // Kernels for a shape are compiled in the background; until then others run.
  bool lazy = false;
};

nvinfer1::IExecutionContext* MakeContext(std::shared_ptr<Loaded> engine, const Strategies& strategies,
                                         std::shared_ptr<void> child);

// Activations as a simulated TensorRT has them: one number, which tells runs
// apart that use the same memory at the same time.
// Of an image's activations.
constexpr int64_t kMemorySize = 1 << 16;

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_RUNTIME_H_
