// TensorRT's logger.
#ifndef TRTDET_SRC_NVINFER_LOGGER_H_
#define TRTDET_SRC_NVINFER_LOGGER_H_

#include <memory>
#include <string>
#include <utility>

#include "../error.h"
#include "../log_sink.h"
#include "api.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

// Throws where TensorRT has logged an error on this thread since the sink last
// forgot them: another builder's or engine's may come from others.
// Some of its calls return nothing, and some an answer that looks like any
// other, so that its log alone says that they failed.
inline void CheckLog(const LogSink& sink, trtdet_code code, const char* what) {
  if (const std::string errors = sink.Errors(LogSink::From::kThisThread); !errors.empty())
    throw Error(code, what, errors);
}

// A text of TensorRT's, which is null where the call failed.
inline std::string Text(const char* text) { return text == nullptr ? "" : text; }

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
