#include "deep_stack.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace trtdet {
namespace {

// Touches depth * 4 KiB of stack.
int Descend(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : Descend(depth - 1) + frame[0] * 0 + 1;
}

TEST(DeepStackTest, HoldsWhatTheUsualStackDoesNot) {
  constexpr int kDepth = 50 * 1024;  // 200 MB
  int reached = 0;
  OnDeepStack([&] { reached = Descend(kDepth); });
  EXPECT_EQ(reached, kDepth);
}

TEST(DeepStackTest, PassesExceptionsOn) {
  EXPECT_THROW(OnDeepStack([] { throw std::out_of_range("deep"); }), std::out_of_range);
}

TEST(DeepStackTest, RunsElsewhereAndWaits) {
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id there = here;
  OnDeepStack([&] { there = std::this_thread::get_id(); });
  EXPECT_NE(here, there);
}

}  // namespace
}  // namespace trtdet
