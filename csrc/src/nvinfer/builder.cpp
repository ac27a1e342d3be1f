#include "builder.h"

#include "../error.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {
namespace {

constexpr nvinfer1::NetworkDefinitionCreationFlags StronglyTyped() {
  // RTX and 11 know no other networks and deprecate the flag; 10 needs it. Its
  // bit differs between them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#pragma GCC diagnostic pop
}

constexpr const char* kNoReason = "the parser gives no reason";

std::string ToText(const nvonnxparser::IParserError& error) {
  std::string where;
  if (const int node = error.node(); node >= 0) {
    const std::string name = Text(error.nodeName());
    const std::string op = Text(error.nodeOperator());
    where = "node " + std::to_string(node);
    if (!name.empty()) where += " \"" + name + "\"";
    if (!op.empty()) where += " (" + op + ")";
    where += ": ";
  }
  const std::string reason = WithoutMissingDriver(Text(error.desc()).c_str());
  return where + (reason.empty() ? kNoReason : reason);
}

// The parser's first error, or else what it logged.
std::string Reason(const nvonnxparser::IParser& parser, const LogSink& sink) {
  const nvonnxparser::IParserError* error = parser.getNbErrors() == 0 ? nullptr : parser.getError(0);
  std::string reason = error == nullptr ? "" : ToText(*error);
  if (reason.empty()) reason = sink.Errors();
  if (reason.empty()) return kNoReason;
  // The description may carry what TensorRT logged, line by line.
  for (std::size_t at = 0; (at = reason.find('\n', at)) != std::string::npos;) reason.replace(at, 1, "; ");
  return reason;
}

}  // namespace

NvBuilder::NvBuilder(std::shared_ptr<Binaries> binaries, std::shared_ptr<LogSink> log)
    : state_(new BuilderState{std::move(binaries), Logger(std::move(log)), nullptr}) {
  LogSink& sink = state_->logger.sink();
  sink.ForgetErrors();
  nvinfer1::ILogger* logger = &state_->logger;
  state_->builder.reset(
      static_cast<nvinfer1::IBuilder*>(state_->binaries->create_builder(logger, state_->binaries->version)));
  if (state_->builder == nullptr) throw Error(TRTDET_BUILD, "TensorRT made no builder", sink.Errors());
}

std::unique_ptr<Network> NvBuilder::Parse(const std::string& onnx_path) {
  return std::make_unique<NvNetwork>(state_, onnx_path);
}

NvNetwork::NvNetwork(std::shared_ptr<BuilderState> state, const std::string& onnx_path) : state_(std::move(state)) {
  LogSink& sink = state_->logger.sink();
  sink.ForgetErrors();
  network_.reset(state_->builder->createNetworkV2(StronglyTyped()));
  if (network_ == nullptr) throw Error(TRTDET_BUILD, "TensorRT made no network", sink.Errors());
  // Otherwise it counts the builder's networks and writes the number into the
  // plan, and the same file parsed twice would give two plans.
  sink.ForgetErrors();
  network_->setName("trtdet");
  CheckLog(sink, TRTDET_BUILD, "TensorRT does not name the network");
  nvinfer1::ILogger* logger = &state_->logger;
  parser_.reset(static_cast<nvonnxparser::IParser*>(
      state_->binaries->create_parser(network_.get(), logger, state_->binaries->parser_version)));
  if (parser_ == nullptr) throw Error(TRTDET_LIBRARY, "the ONNX parser does not fit this TensorRT", sink.Errors());

  if (!parser_->parseFromFile(onnx_path.c_str(), static_cast<int>(nvinfer1::ILogger::Severity::kWARNING))) {
    throw Error(TRTDET_PARSE, onnx_path + ": " + Reason(*parser_, sink), sink.Errors());
  }
  sink.ForgetErrors();
  Describe();
  CheckLog(sink, TRTDET_BUILD, "TensorRT does not tell what the network has");
  // An empty file, and any file that is no ONNX but valid protobuf, parses.
  if (inputs_.empty() || outputs_.empty()) {
    throw Error(TRTDET_PARSE, onnx_path + ": it has no inputs or no outputs, so it is not an ONNX network");
  }
}

void NvNetwork::Describe() {
  for (int32_t i = 0; i < network_->getNbInputs(); ++i) inputs_.push_back(Describe(network_->getInput(i)));
  for (int32_t i = 0; i < network_->getNbOutputs(); ++i) outputs_.push_back(Describe(network_->getOutput(i)));
}

NvNetwork::NetworkTensor NvNetwork::Describe(const nvinfer1::ITensor* tensor) const {
  if (tensor == nullptr) {
    throw Error(TRTDET_BUILD, "TensorRT hides an input or output", state_->logger.sink().Errors());
  }
  return {Text(tensor->getName()), tensor->getType(), tensor->getDimensions()};
}

int32_t NvNetwork::TensorCount(trtdet_role role) const { return static_cast<int32_t>(Tensors(role).size()); }

trtdet_tensor NvNetwork::Tensor(trtdet_role role, int32_t index) const {
  const NetworkTensor& tensor = Tensors(role)[static_cast<std::size_t>(index)];
  const nvinfer1::Dims& dims = tensor.dims;
  if (dims.nbDims < 0 || dims.nbDims > TRTDET_MAX_RANK) {
    throw Error(TRTDET_PARSE, "tensor " + tensor.name + ": TensorRT cannot tell its shape");
  }
  trtdet_tensor out{};
  out.name = tensor.name.c_str();
  out.dtype = static_cast<trtdet_dtype>(tensor.dtype);
  out.rank = dims.nbDims;
  for (int32_t i = 0; i < dims.nbDims; ++i) out.dims[i] = dims.d[i];
  return out;
}

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE
