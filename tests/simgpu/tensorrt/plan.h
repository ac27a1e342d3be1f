// The plan of a simulated TensorRT: a header, what the builder was told, and
// the ONNX file itself.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_PLAN_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_PLAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace simgpu {

using Shape = std::vector<int64_t>;

struct ShapeRange {
  Shape min, opt, max;
};

using Profiles = std::vector<std::map<std::string, ShapeRange>>;  // by input

struct Plan {
  Profiles profiles;
  // The builder's other settings, a line each, for tests to find in the file.
  std::string settings;
  // The compute capabilities that it is for: the bits of a TensorRT-RTX plan.
  uint64_t capabilities = 0;
  std::string onnx;
};

// Returns the file. Its first bytes are as those of this flavor's plans.
std::string Write(const Plan& plan);

// Throws std::runtime_error, with TensorRT's reason, where it is no whole plan
// of this very TensorRT.
Plan ReadPlan(const void* data, std::size_t size);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_PLAN_H_
