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

std::string Describe(const nvonnxparser::IParserError& error) {
  const auto text = [](const char* s) { return std::string(s == nullptr ? "" : s); };
  std::string where;
  if (error.node() >= 0) {
    where = "node " + std::to_string(error.node());
    if (!text(error.nodeName()).empty()) where += " \"" + text(error.nodeName()) + "\"";
    if (!text(error.nodeOperator()).empty()) where += " (" + text(error.nodeOperator()) + ")";
    where += ": ";
  }
  // The description may carry what TensorRT logged, line by line.
  std::string reason = WithoutMissingDriver(text(error.desc()).c_str());
  for (std::size_t at = 0; (at = reason.find('\n', at)) != std::string::npos;) reason.replace(at, 1, "; ");
  return where + reason;
}

std::string FirstError(const nvonnxparser::IParser& parser) {
  if (parser.getNbErrors() == 0) return "the parser gives no reason";
  const nvonnxparser::IParserError* error = parser.getError(0);
  return error == nullptr ? "the parser gives no reason" : Describe(*error);
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
  network_->setName("trtdet");
  nvinfer1::ILogger* logger = &state_->logger;
  parser_.reset(static_cast<nvonnxparser::IParser*>(
      state_->binaries->create_parser(network_.get(), logger, state_->binaries->version)));
  if (parser_ == nullptr) throw Error(TRTDET_LIBRARY, "the ONNX parser does not fit this TensorRT", sink.Errors());

  if (!parser_->parseFromFile(onnx_path.c_str(), static_cast<int>(nvinfer1::ILogger::Severity::kWARNING))) {
    throw Error(TRTDET_PARSE, onnx_path + ": " + FirstError(*parser_), sink.Errors());
  }
  // An empty file, and any file that is no ONNX but valid protobuf, parses.
  if (network_->getNbInputs() == 0 || network_->getNbOutputs() == 0) {
    throw Error(TRTDET_PARSE, onnx_path + ": it has no inputs or no outputs, so it is not an ONNX network");
  }
}

int32_t NvNetwork::TensorCount(trtdet_role role) const {
  return role == TRTDET_INPUT ? network_->getNbInputs() : network_->getNbOutputs();
}

trtdet_tensor NvNetwork::Tensor(trtdet_role role, int32_t index) const {
  const nvinfer1::ITensor* tensor = role == TRTDET_INPUT ? network_->getInput(index) : network_->getOutput(index);
  const nvinfer1::Dims dims = tensor->getDimensions();
  if (dims.nbDims < 0 || dims.nbDims > TRTDET_MAX_RANK) {
    throw Error(TRTDET_PARSE, std::string("tensor ") + tensor->getName() + ": TensorRT cannot tell its shape");
  }
  trtdet_tensor out{};
  out.name = tensor->getName();
  out.dtype = static_cast<trtdet_dtype>(tensor->getType());
  out.rank = dims.nbDims;
  for (int32_t i = 0; i < dims.nbDims; ++i) out.dims[i] = dims.d[i];
  return out;
}

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE
