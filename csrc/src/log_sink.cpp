#include "log_sink.h"

#include <algorithm>

#include "driver.h"

namespace trtdet {
namespace {

bool IsMissingDriver(const std::string& line) {
  static constexpr const char* kSigns[] = {
      "CUDA initialization failure with error: 35",
      "CUDA initialization failure with error: 100",
      "CUDA driver version is insufficient for CUDA runtime version",
      "no CUDA-capable device is detected",
      "Cuda Runtime (35)",
      "cudaError 35",
  };
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&line](const char* sign) { return line.find(sign) != std::string::npos; });
}

// The lines of a message. By hand: with a stream comes libstdc++'s locale, whose numbers for facets every libstdc++ of
// the process shares, ours in the program and TensorRT's beside it, and the second one to give them finds some given.
std::vector<std::string> Lines(const std::string& message) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < message.size();) {
    const std::size_t end = std::min(message.find('\n', start), message.size());
    lines.push_back(message.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

// Whether a message is only of CUDA's complaints about the driver, which an old driver
// gets as well as a missing one, beside calls that then succeed.
bool ComesWithSuccess(const std::string& message) {
  const std::vector<std::string> lines = Lines(message);
  return std::all_of(lines.begin(), lines.end(), IsMissingDriver);
}

}  // namespace

std::string WithoutMissingDriver(const char* message) {
  if (DriverStatus().ok) return message;
  std::string kept;
  for (const std::string& line : Lines(message)) {
    if (IsMissingDriver(line)) continue;
    if (!kept.empty()) kept += '\n';
    kept += line;
  }
  return kept;
}

LogSink::~LogSink() {
  if (logger_.release != nullptr) logger_.release(logger_.context);
}

void LogSink::Log(trtdet_severity severity, const char* message) noexcept {
  if (message == nullptr) return;
  try {
    if (severity <= TRTDET_LOG_WARNING) {
      const std::string kept = WithoutMissingDriver(message);
      if (kept.empty()) {
        severity = TRTDET_LOG_VERBOSE;
      } else {
        if (severity <= TRTDET_LOG_ERROR && !ComesWithSuccess(kept)) KeepError(kept);
        if (logger_.log != nullptr) logger_.log(logger_.context, severity, kept.c_str());
        return;
      }
    }
  } catch (...) {  // out of memory: the line goes on as it came
  }
  if (logger_.log != nullptr) logger_.log(logger_.context, severity, message);
}

void LogSink::KeepError(const std::string& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto thread = std::this_thread::get_id();
  std::size_t own = 0;
  for (const Line& line : errors_) {
    if (line.thread != thread) continue;
    if (++own == kMaxErrors || line.text == message) return;
  }
  errors_.push_back({thread, message});
}

void LogSink::ForgetErrors(From from) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto forgotten = [&](const Line& line) {
    return from == From::kAnyThread || line.thread == std::this_thread::get_id();
  };
  errors_.erase(std::remove_if(errors_.begin(), errors_.end(), forgotten), errors_.end());
}

std::string LogSink::Errors(From from) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> told;
  for (const Line& line : errors_) {
    if (from == From::kThisThread && line.thread != std::this_thread::get_id()) continue;
    if (std::find(told.begin(), told.end(), line.text) == told.end()) told.push_back(line.text);
  }
  std::string text;
  for (const std::string& line : told) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

}  // namespace trtdet
