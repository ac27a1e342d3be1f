// TensorRT's logger.
#ifndef TRTDET_SRC_NVINFER_LOGGER_H_
#define TRTDET_SRC_NVINFER_LOGGER_H_

#include <memory>
#include <utility>

#include "../log_sink.h"
#include "api.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

// Hands TensorRT's log to the sink.
class Logger final : public nvinfer1::ILogger {
 public:
  explicit Logger(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}
  void log(Severity severity, const nvinfer1::AsciiChar* message) noexcept override {
    sink_->Log(static_cast<trtdet_severity>(severity), message);
  }
  LogSink& sink() noexcept { return *sink_; }

 private:
  std::shared_ptr<LogSink> sink_;
};

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_LOGGER_H_
