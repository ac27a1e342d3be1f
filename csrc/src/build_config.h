// What a build is asked for, in no TensorRT's words, and the checks that need
// no TensorRT.
#ifndef TRTDET_SRC_BUILD_CONFIG_H_
#define TRTDET_SRC_BUILD_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trtdet.h"

namespace trtdet {

using Shape = std::vector<int64_t>;

std::string ToString(const Shape& shape);  // "1x3x640x640"

struct ShapeRange {
  Shape min, opt, max;
};

struct BuildConfig {
  std::vector<std::map<std::string, ShapeRange>> profiles;  // by input name
  std::optional<uint64_t> workspace_bytes;
  std::vector<int32_t> targets;  // compute capabilities, 75 for 7.5
  std::optional<std::vector<std::byte>> timing_cache;
  std::optional<int32_t> optimization_level;

  // Throws Error(TRTDET_INVALID) when profile is not the next or an earlier
  // one, the input has a range already, or not 0 < min <= opt <= max.
  void AddShape(int32_t profile, const std::string& input, ShapeRange range);

  // Throws Error(TRTDET_INVALID) when the profiles do not fit these inputs.
  void CheckAgainst(const std::vector<trtdet_tensor>& inputs) const;
};

}  // namespace trtdet

#endif  // TRTDET_SRC_BUILD_CONFIG_H_
