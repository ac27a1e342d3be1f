#include "network.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "session.h"

namespace simgpu {
namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;

class NetworkTensor final : public nvinfer1::ITensor, public nvinfer1::apiv::VTensorStub {
 public:
  NetworkTensor(nvinfer1::ILogger& log, Tensor tensor) : log_(log), tensor_(std::move(tensor)) { mImpl = this; }
  const char* getName() const noexcept override {
    return Fails(log_, "ITensor::getName") ? nullptr : tensor_.name.c_str();
  }
  Dims getDimensions() const noexcept override {
    return Fails(log_, "ITensor::getDimensions") ? Dims{-1, {}} : ToDims(tensor_.dims);
  }
  DataType getType() const noexcept override {
    return Fails(log_, "ITensor::getType") ? DataType::kFLOAT : static_cast<DataType>(DataTypeOf(tensor_.type));
  }

 private:
  nvinfer1::ILogger& log_;
  Tensor tensor_;
};

class Layer final : public nvinfer1::ILayer, public nvinfer1::apiv::VLayerStub {
 public:
  Layer(nvinfer1::ILogger& log, const std::string& op) : log_(log), type_(TypeOf(op)) { mLayer = this; }
  nvinfer1::LayerType getType() const noexcept override {
    return Fails(log_, "ILayer::getType") ? nvinfer1::LayerType::kIDENTITY : type_;
  }

 private:
  // Those that a builder asks about; all others look alike.
  static nvinfer1::LayerType TypeOf(const std::string& op) {
    if (op == "NonZero") return nvinfer1::LayerType::kNON_ZERO;
    if (op == "NonMaxSuppression") return nvinfer1::LayerType::kNMS;
    if (op == "Loop" || op == "Scan") return nvinfer1::LayerType::kTRIP_LIMIT;
    return nvinfer1::LayerType::kIDENTITY;
  }

  nvinfer1::ILogger& log_;
  nvinfer1::LayerType type_;
};

class ParsedNetwork final : public Network, public nvinfer1::apiv::VNetworkDefinitionStub, private Counted {
 public:
  ParsedNetwork(nvinfer1::ILogger& log, std::shared_ptr<void> child) : child_(std::move(child)), log_(log) {
    mImpl = this;
  }

  bool Load(const std::string& path, Refusal& refusal) noexcept override {
    try {
      std::ifstream file(path, std::ios::binary);
      if (!file) throw std::runtime_error("cannot open " + path);
      contents.onnx.assign(std::istreambuf_iterator<char>(file), {});
      const std::vector<Node> nodes = Nodes(contents.onnx);
      if (nodes.empty()) return true;  // as TensorRT's: what is no ONNX file has no inputs and no outputs
      const Session session(contents.onnx, Session::Use::kDescribe);
      for (const Tensor& input : session.inputs()) {
        inputs_.push_back(std::make_unique<NetworkTensor>(log_, input));
        contents.inputs[input.name] = input.dims;
      }
      for (const Tensor& output : session.outputs()) outputs_.push_back(std::make_unique<NetworkTensor>(log_, output));
      for (const Node& node : nodes) layers_.push_back(std::make_unique<Layer>(log_, node.op));
      return true;
    } catch (const std::exception& error) {
      refusal = {error.what(), -1, {}};
      return Name(refusal);
    }
  }

  int32_t getNbLayers() const noexcept override {
    return Fails(log_, "INetworkDefinition::getNbLayers") ? 0 : static_cast<int32_t>(layers_.size());
  }
  nvinfer1::ILayer* getLayer(int32_t index) const noexcept override {
    return Fails(log_, "INetworkDefinition::getLayer") ? nullptr : layers_[static_cast<std::size_t>(index)].get();
  }
  int32_t getNbInputs() const noexcept override {
    return Fails(log_, "INetworkDefinition::getNbInputs") ? 0 : static_cast<int32_t>(inputs_.size());
  }
  nvinfer1::ITensor* getInput(int32_t index) const noexcept override {
    return Fails(log_, "INetworkDefinition::getInput") ? nullptr : inputs_[static_cast<std::size_t>(index)].get();
  }
  int32_t getNbOutputs() const noexcept override {
    return Fails(log_, "INetworkDefinition::getNbOutputs") ? 0 : static_cast<int32_t>(outputs_.size());
  }
  nvinfer1::ITensor* getOutput(int32_t index) const noexcept override {
    return Fails(log_, "INetworkDefinition::getOutput") ? nullptr : outputs_[static_cast<std::size_t>(index)].get();
  }
  void setName(const char* name) noexcept override {
    if (!Fails(log_, "INetworkDefinition::setName")) name_ = name;
  }
  const char* getName() const noexcept override { return name_.c_str(); }

  Contents contents;

 private:
  // Finds the node that ONNX Runtime's words are about.
  bool Name(Refusal& refusal) {
    const std::vector<Node> nodes = Nodes(contents.onnx);
    std::size_t first = std::string::npos;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::size_t at = nodes[i].name.empty() ? std::string::npos : refusal.reason.find('"' + nodes[i].name + '"');
      if (at >= first) continue;
      first = at;
      refusal.node = static_cast<int>(i);
      refusal.of = nodes[i];
    }
    return false;
  }

  std::shared_ptr<void> child_;
  nvinfer1::ILogger& log_;
  std::string name_ = "unnamed";
  std::vector<std::unique_ptr<NetworkTensor>> inputs_;
  std::vector<std::unique_ptr<NetworkTensor>> outputs_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace

std::unique_ptr<Network> MakeNetwork(nvinfer1::ILogger& log, std::shared_ptr<void> child) {
  return std::make_unique<ParsedNetwork>(log, std::move(child));
}

Contents ContentsOf(const nvinfer1::INetworkDefinition& network) {
  return static_cast<const ParsedNetwork&>(network).contents;
}

Dims ToDims(const Shape& shape) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

Shape ToShape(const Dims& dims) { return dims.nbDims < 0 ? Shape() : Shape(dims.d, dims.d + dims.nbDims); }

}  // namespace simgpu
