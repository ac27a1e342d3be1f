#include "kernels.h"

#include <vector>

#include "memory.h"
#include "sim.h"

// The kernels themselves, with the little of CUDA that they use.
namespace {
thread_local simgpu::Dim gridDim, blockDim, blockIdx, threadIdx;
}
// NOLINTBEGIN(bugprone-reserved-identifier): they are CUDA's own
#define __global__
#define __launch_bounds__(threads, blocks)
// NOLINTEND(bugprone-reserved-identifier)
#include "kernels.cu"

namespace simgpu {

// The least of what GPUs take (CUDA's table of compute capabilities), and the kernels' own bound.
bool Launch::Fits() const {
  constexpr uint64_t kThreads = 256;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  return grid.x != 0 && grid.y != 0 && grid.z != 0 && threads != 0 && grid.x <= 0x7fffffff && grid.y <= 65535 &&
         grid.z <= 65535 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads <= kThreads;
}

namespace {

void Run(void (*kernel)(const trtdet_block*), const trtdet_block& block, const Launch& launch, bool whole) {
  const uint64_t blocks = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  gridDim = launch.grid;
  blockDim = launch.block;
  for (uint64_t n = 0; n < (whole ? blocks : blocks / 2); ++n) {
    const uint64_t rows = n / launch.grid.x;
    blockIdx = {static_cast<unsigned int>(n % launch.grid.x), static_cast<unsigned int>(rows % launch.grid.y),
                static_cast<unsigned int>(rows / launch.grid.y)};
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z) {
      for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y) {
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(&block);
      }
    }
  }
}

// Replaces a device address in a copy of a block by the host memory behind
// size bytes of it. Returns whether all of these are in one allocation.
bool Place(uint64_t& address, uint64_t size, const char* what) {
  const std::lock_guard<std::mutex> lock(Lock());
  void* const host = DeviceMemory::Get().Host(address, size);
  if (host == nullptr) {
    Violation(std::string("a kernel reads or writes ") + what + " beside what is allocated");
    return false;
  }
  address = reinterpret_cast<uint64_t>(host);
  return true;
}

// The block at a device address, with host addresses in it and in what it
// points to; the kernels' headers say how much lies at each.
struct Placed {
  trtdet_block block;
  std::vector<trtdet_picture> pictures;
  std::vector<trtdet_view> views;
};

bool PlaceBlock(uint64_t address, Placed& to) {
  if (!Place(address, sizeof to.block, "its block")) return false;
  to.block = *reinterpret_cast<const trtdet_block*>(address);
  return true;
}

bool PlaceLetterbox(Placed& to) {
  trtdet_letterbox& letterbox = to.block.letterbox;
  const uint64_t plane = static_cast<uint64_t>(letterbox.width) * letterbox.height;
  const uint64_t size = 3 * plane * letterbox.count * (letterbox.half ? 2 : 4);
  if (letterbox.count == 0) return true;
  if (!Place(letterbox.input, size, "the input") ||
      !Place(letterbox.pictures, letterbox.count * sizeof(trtdet_picture), "the pictures")) {
    return false;
  }
  const auto* const pictures = reinterpret_cast<const trtdet_picture*>(letterbox.pictures);
  to.pictures.assign(pictures, pictures + letterbox.count);
  for (trtdet_picture& picture : to.pictures) {
    if (picture.pixels == 0) continue;  // the input is left as it is
    const uint64_t bytes = picture.pitch * (picture.height - 1) + 3 * static_cast<uint64_t>(picture.width);
    if (!Place(picture.pixels, bytes, "pixels")) return false;
  }
  letterbox.pictures = reinterpret_cast<uint64_t>(to.pictures.data());
  return true;
}

bool PlaceDecode(Placed& to, unsigned int views) {
  trtdet_decode& decode = to.block.decode;
  const uint64_t count = decode.count;
  if (count == 0) return true;
  if (!Place(decode.views, views * sizeof(trtdet_view), "the views") ||
      !Place(decode.thresholds, count * sizeof(trtdet_threshold), "the thresholds") ||
      !Place(decode.found, count * sizeof(trtdet_found), "the counts") ||
      !Place(decode.candidates, count * decode.capacity * sizeof(trtdet_candidate), "the candidates")) {
    return false;
  }
  const auto* const all = reinterpret_cast<const trtdet_view*>(decode.views);
  to.views.assign(all, all + views);
  const uint64_t boxes = decode.formula == TRTDET_YOLOV8 ? 4 * static_cast<uint64_t>(decode.reg_max) : 4;
  const uint64_t labels = decode.formula == TRTDET_CORNERS ? 2 : decode.classes;  // score and class id
  for (trtdet_view& view : to.views) {
    if (view.count == 0) continue;
    const uint64_t number = view.half ? 2 : 4;
    const auto size = [&](uint64_t next, uint64_t channels) {
      return (next * (count - 1) + (channels - 1) * view.channel + (view.count - 1) * view.position + 1) * number;
    };
    if (!Place(view.box, size(view.box_next, boxes), "boxes") ||
        (view.conf != 0 && !Place(view.conf, size(view.conf_next, 1), "confidences")) ||
        !Place(view.labels, size(view.labels_next, labels), "labels")) {
      return false;
    }
  }
  decode.views = reinterpret_cast<uint64_t>(to.views.data());
  return true;
}

void Letterbox(uint64_t address, const Launch& launch, bool whole) {
  Placed placed;
  if (PlaceBlock(address, placed) && PlaceLetterbox(placed)) Run(trtdet_letterbox_kernel, placed.block, launch, whole);
}

void Decode(uint64_t address, const Launch& launch, bool whole) {
  Placed placed;
  // the grid's y is a view
  if (PlaceBlock(address, placed) && PlaceDecode(placed, launch.grid.y)) {
    Run(trtdet_decode_kernel, placed.block, launch, whole);
  }
}

}  // namespace

Kernel FindKernel(const std::string& name) {
  if (name == "trtdet_letterbox_kernel") return Letterbox;
  if (name == "trtdet_decode_kernel") return Decode;
  return nullptr;
}

}  // namespace simgpu
