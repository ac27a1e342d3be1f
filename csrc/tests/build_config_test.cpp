// What BuildConfig refuses before any TensorRT sees it.
#include "build_config.h"

#include <gtest/gtest.h>

#include "error.h"

namespace trtdet {
namespace {

trtdet_tensor Input(const char* name, const Shape& shape) {
  trtdet_tensor tensor{};
  tensor.name = name;
  tensor.rank = static_cast<int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) tensor.dims[i] = shape[i];
  return tensor;
}

// The message of the Error that a call throws, "" when it throws none.
template <typename Call>
std::string Refusal(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), TRTDET_INVALID);
    return e.what();
  }
  return "";
}

TEST(BuildConfigTest, AddShape) {
  struct Case {
    const char* name;
    int32_t profile;
    ShapeRange range;
    const char* refusal;  // "" for none
  };
  const Case cases[] = {
      {"one shape", 0, {{1, 3}, {1, 3}, {1, 3}}, ""},
      {"a range", 0, {{1, 3}, {4, 3}, {8, 3}}, ""},
      {"min above opt", 0, {{2}, {1}, {4}}, "must not fall"},
      {"opt above max", 0, {{1}, {5}, {4}}, "must not fall"},
      {"nothing", 0, {{0}, {1}, {1}}, "must not fall"},
      {"a dynamic dimension left in", 0, {{-1}, {1}, {1}}, "must not fall"},
      {"a gap", 1, {{1}, {1}, {1}}, "leaves a gap"},
      {"a negative number", -1, {{1}, {1}, {1}}, "leaves a gap"},
  };
  for (const Case& c : cases) {
    BuildConfig config;
    const std::string refusal = Refusal([&] { config.AddShape(c.profile, "images", c.range); });
    EXPECT_EQ(refusal.empty(), c.refusal[0] == '\0') << c.name << ": " << refusal;
    EXPECT_NE(refusal.find(c.refusal), std::string::npos) << c.name << ": " << refusal;
    EXPECT_EQ(config.profiles.size(), refusal.empty() ? 1U : 0U) << c.name;
  }
}

TEST(BuildConfigTest, AddShapeTwice) {
  BuildConfig config;
  config.AddShape(0, "images", {{1}, {1}, {1}});
  EXPECT_NE(Refusal([&] { config.AddShape(0, "images", {{2}, {2}, {2}}); }).find("twice"), std::string::npos);
  config.AddShape(1, "images", {{2}, {2}, {2}});
  EXPECT_EQ(config.profiles.size(), 2U);
}

TEST(BuildConfigTest, CheckAgainst) {
  const std::vector<trtdet_tensor> dynamic = {Input("images", {-1, 3, 64, 64}), Input("scale", {1})};
  const std::vector<trtdet_tensor> fixed = {Input("images", {1, 3, 64, 64})};
  const ShapeRange batch = {{1, 3, 64, 64}, {2, 3, 64, 64}, {4, 3, 64, 64}};
  struct Case {
    const char* name;
    const std::vector<trtdet_tensor>& inputs;
    std::map<std::string, ShapeRange> profile;
    const char* refusal;
  };
  const Case cases[] = {
      {"dynamic with a range", dynamic, {{"images", batch}}, ""},
      {"dynamic without a profile", dynamic, {}, "give a profile"},
      {"dynamic left out", dynamic, {{"scale", {{1}, {1}, {1}}}}, "input images: its shape ?x3x64x64 is dynamic"},
      {"fixed without a profile", fixed, {}, ""},
      {"fixed, asked for more", fixed, {{"images", batch}}, "fixes its shape to 1x3x64x64"},
      {"an unknown input", dynamic, {{"images", batch}, {"image", batch}}, "input image: the network has no input"},
      {"rank", dynamic, {{"images", {{1, 3}, {1, 3}, {1, 3}}}}, "have 2 dimensions, the network's has 4"},
      {"channels", dynamic, {{"images", {{1, 4, 64, 64}, {1, 4, 64, 64}, {1, 4, 64, 64}}}}, "fixes its shape"},
  };
  for (const Case& c : cases) {
    BuildConfig config;
    if (!c.profile.empty()) config.profiles.push_back(c.profile);
    const std::string refusal = Refusal([&] { config.CheckAgainst(c.inputs); });
    EXPECT_EQ(refusal.empty(), c.refusal[0] == '\0') << c.name << ": " << refusal;
    EXPECT_NE(refusal.find(c.refusal), std::string::npos) << c.name << ": " << refusal;
  }
}

}  // namespace
}  // namespace trtdet
