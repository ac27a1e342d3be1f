// Whose errors a log keeps for the call that fails.
#include "log_sink.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace {

using trtdet::LogSink;
constexpr auto kThisThread = LogSink::From::kThisThread;

TEST(LogSink, KeepsErrorsByThread) {
  LogSink sink({});
  sink.Log(TRTDET_LOG_ERROR, "mine");
  std::thread([&sink] {
    sink.Log(TRTDET_LOG_ERROR, "another's");
    EXPECT_EQ(sink.Errors(kThisThread), "another's");
    sink.Log(TRTDET_LOG_ERROR, "mine");
  }).join();
  EXPECT_EQ(sink.Errors(kThisThread), "mine");
  EXPECT_EQ(sink.Errors(), "mine\nanother's") << "as they came, each once";

  sink.ForgetErrors(kThisThread);
  EXPECT_EQ(sink.Errors(kThisThread), "");
  EXPECT_NE(sink.Errors().find("another's"), std::string::npos);
  sink.ForgetErrors();
  EXPECT_EQ(sink.Errors(), "");
}

TEST(LogSink, KeepsFewErrors) {
  LogSink sink({});
  for (int i = 0; i < 1000; ++i) sink.Log(TRTDET_LOG_ERROR, std::to_string(i).c_str());
  EXPECT_LT(sink.Errors().size(), 100U);
  EXPECT_EQ(sink.Errors().rfind("0\n1\n", 0), 0U);
}

TEST(LogSink, KeepsNoWarnings) {
  LogSink sink({});
  sink.Log(TRTDET_LOG_WARNING, "a warning");
  EXPECT_EQ(sink.Errors(), "");
}

}  // namespace
