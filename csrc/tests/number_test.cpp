// Half precision, every number of it.
#include "number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace trtdet {
namespace {

uint16_t Rounded(float x) {
  Half half;
  Store(&half, x);
  return half.bits;
}

// What the bits of a finite half mean, by the definition.
float Meaning(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>((bits & 0x8000) != 0 ? -size : size);
}

TEST(Half, EveryFiniteOneIsRead) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const Half half = {static_cast<uint16_t>(bits)};
    ASSERT_EQ(ToFloat(half), Meaning(half.bits)) << bits;
    ASSERT_EQ(std::signbit(ToFloat(half)), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(Rounded(ToFloat(half)), bits);
  }
}

TEST(Half, RoundsToTheNearestAndToEvenBetweenTwo) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float lower = Meaning(static_cast<uint16_t>(bits));
    const float upper = Meaning(static_cast<uint16_t>(bits + 1));
    const float between = (lower + upper) / 2;  // exact: a float has 13 more bits
    ASSERT_EQ(Rounded(between), bits + (bits & 1)) << bits;
    ASSERT_EQ(Rounded(std::nextafter(between, lower)), bits);
    ASSERT_EQ(Rounded(std::nextafter(between, upper)), bits + 1);
    ASSERT_EQ(Rounded(-between), 0x8000 | (bits + (bits & 1)));
  }
}

TEST(Half, TooLargeIsInfiniteAndNaNStaysNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Rounded(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(Rounded(65520), 0x7c00);
  EXPECT_EQ(Rounded(-kInfinity), 0xfc00);
  EXPECT_EQ(ToFloat(Half{0x7c00}), kInfinity);
  EXPECT_EQ(ToFloat(Half{0xfc00}), -kInfinity);
  EXPECT_TRUE(std::isnan(ToFloat(Half{Rounded(std::nanf(""))})));
}

TEST(Sigmoid, OfExtremeNumbers) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Sigmoid(0), 0.5f);
  EXPECT_EQ(Sigmoid(kInfinity), 1);
  EXPECT_EQ(Sigmoid(-kInfinity), 0);
  EXPECT_EQ(Sigmoid(-std::numeric_limits<float>::max()), 0);
  EXPECT_TRUE(std::isnan(Sigmoid(std::nanf(""))));
  EXPECT_FALSE(Finite(kInfinity) || Finite(-kInfinity) || Finite(std::nanf("")));
  EXPECT_TRUE(Finite(std::numeric_limits<float>::max()) && Finite(-0.0f));
}

}  // namespace
}  // namespace trtdet
