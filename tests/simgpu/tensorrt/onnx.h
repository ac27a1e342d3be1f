// What TensorRT's parser sees of an ONNX file beside its inputs and outputs.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_ONNX_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_ONNX_H_

#include <string>
#include <vector>

namespace simgpu {

struct Node {
  std::string name;
  std::string op;
};

// Returns the graph's nodes in the file's order, none of what is no ONNX file.
std::vector<Node> Nodes(const std::string& onnx);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_ONNX_H_
