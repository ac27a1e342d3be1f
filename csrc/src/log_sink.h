// Where TensorRT's log lines go: on to the caller's callback, and the errors
// among them into the message of the call that failed.
#ifndef TRTDET_SRC_LOG_SINK_H_
#define TRTDET_SRC_LOG_SINK_H_

#include <mutex>
#include <string>
#include <vector>

#include "trtdet.h"

namespace trtdet {

class LogSink {
 public:
  // Takes the logger over: its release is called by the destructor.
  explicit LogSink(const trtdet_logger& logger) noexcept : logger_(logger) {}
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  // Any thread.
  void Log(trtdet_severity severity, const char* message) noexcept;

  // Forgets the errors seen so far: a call that may fail starts with this.
  void ForgetErrors() noexcept;

  // The errors since then, one per line, repeats left out.
  std::string Errors() const;

 private:
  // More lines than this say nothing new; a broken graph can log thousands.
  static constexpr std::size_t kMaxErrors = 16;

  trtdet_logger logger_;
  mutable std::mutex mutex_;
  std::vector<std::string> errors_;
};

}  // namespace trtdet

#endif  // TRTDET_SRC_LOG_SINK_H_
