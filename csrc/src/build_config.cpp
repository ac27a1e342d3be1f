#include "build_config.h"

#include <algorithm>

#include "error.h"

namespace trtdet {
namespace {

[[noreturn]] void Refuse(std::size_t profile, const std::string& input, const std::string& reason) {
  throw Error(TRTDET_INVALID, "profile " + std::to_string(profile) + ", input " + input + ": " + reason);
}

Shape ShapeOf(const trtdet_tensor& tensor) { return Shape(tensor.dims, tensor.dims + tensor.rank); }

bool IsDynamic(const trtdet_tensor& tensor) {
  const Shape shape = ShapeOf(tensor);
  return std::any_of(shape.begin(), shape.end(), [](int64_t dim) { return dim < 0; });
}

// The range of one input must keep the dimensions that the network fixes.
void CheckRange(std::size_t profile, const trtdet_tensor& input, const ShapeRange& range) {
  if (range.min.size() != static_cast<std::size_t>(input.rank)) {
    Refuse(profile, input.name,
           "the shapes have " + std::to_string(range.min.size()) + " dimensions, the network's has " +
               std::to_string(input.rank));
  }
  for (int32_t i = 0; i < input.rank; ++i) {
    if (input.dims[i] >= 0 && (range.min[i] != input.dims[i] || range.max[i] != input.dims[i])) {
      Refuse(profile, input.name,
             "the network fixes its shape to " + ToString(ShapeOf(input)) + ", the profile asks for " +
                 ToString(range.min) + " to " + ToString(range.max));
    }
  }
}

}  // namespace

std::string ToString(const Shape& shape) {
  std::string text;
  for (const int64_t dim : shape) {
    if (!text.empty()) text += 'x';
    text += dim < 0 ? "?" : std::to_string(dim);
  }
  return text.empty() ? "scalar" : text;
}

void BuildConfig::AddShape(int32_t profile, const std::string& input, ShapeRange range) {
  if (profile < 0 || static_cast<std::size_t>(profile) > profiles.size()) {
    throw Error(TRTDET_INVALID, "profile " + std::to_string(profile) + " leaves a gap: there are " +
                                    std::to_string(profiles.size()) + " so far");
  }
  for (std::size_t i = 0; i < range.min.size(); ++i) {
    if (range.min[i] < 1 || range.min[i] > range.opt[i] || range.opt[i] > range.max[i]) {
      Refuse(static_cast<std::size_t>(profile), input,
             "min " + ToString(range.min) + ", opt " + ToString(range.opt) + ", max " + ToString(range.max) +
                 " must not fall and start at 1 or more in every dimension");
    }
  }
  if (static_cast<std::size_t>(profile) == profiles.size()) profiles.emplace_back();
  if (!profiles[static_cast<std::size_t>(profile)].emplace(input, std::move(range)).second) {
    Refuse(static_cast<std::size_t>(profile), input, "its shapes are given twice");
  }
}

void BuildConfig::CheckAgainst(const std::vector<trtdet_tensor>& inputs) const {
  for (std::size_t p = 0; p < profiles.size(); ++p) {
    std::size_t matched = 0;
    for (const trtdet_tensor& input : inputs) {
      const auto range = profiles[p].find(input.name);
      if (range != profiles[p].end()) {
        CheckRange(p, input, range->second);
        ++matched;
      } else if (IsDynamic(input)) {
        Refuse(p, input.name, "its shape " + ToString(ShapeOf(input)) + " is dynamic: give min, opt and max");
      }
    }
    if (matched == profiles[p].size()) continue;
    for (const auto& [name, range] : profiles[p]) {
      const std::string& wanted = name;
      if (std::none_of(inputs.begin(), inputs.end(), [&](const trtdet_tensor& in) { return wanted == in.name; })) {
        Refuse(p, name, "the network has no input of this name");
      }
    }
  }
  if (!profiles.empty()) return;
  for (const trtdet_tensor& input : inputs) {
    if (IsDynamic(input)) {
      throw Error(TRTDET_INVALID, "input " + std::string(input.name) + ": its shape " + ToString(ShapeOf(input)) +
                                      " is dynamic: give a profile with min, opt and max");
    }
  }
}

}  // namespace trtdet
