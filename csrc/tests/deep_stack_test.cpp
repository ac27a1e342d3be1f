#include "deep_stack.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace trtdet {
namespace {

// Touches depth * 4 KiB of stack. Each frame reads the one above it, before and
// after, so that no compiler makes a loop of it.
__attribute__((noinline)) int Descend(int depth, const volatile char* above) {
  volatile char frame[4096];
  frame[0] = above[0];
  if (depth == 0) return 0;
  const int below = Descend(depth - 1, frame);
  return below + 1 + (frame[0] - above[0]);
}

TEST(DeepStackTest, HoldsWhatTheUsualStackDoesNot) {
  constexpr int kDepth = 50 * 1024;  // 200 MB
  const volatile char top = 1;
  int reached = 0;
  OnDeepStack([&] { reached = Descend(kDepth, &top); });
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
