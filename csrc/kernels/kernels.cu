// The kernels. What they compute is in letterbox.h and decode.h; here is which
// thread does which part of it. See block.h for what they are told.
#include "block.h"
#include "decode.h"
#include "letterbox.h"

namespace {

// Where the candidates of one picture go.
struct Out {
  const trtdet_decode& decode;
  int picture;

  __device__ trtdet_found* Found() const { return reinterpret_cast<trtdet_found*>(decode.found) + picture; }

  __device__ void NonFinite() const { atomicAdd(&Found()->non_finite, 1u); }

  __device__ void Candidate(const trtdet_candidate& candidate) const {
    const uint32_t at = atomicAdd(&Found()->candidates, 1u);
    if (at >= static_cast<uint32_t>(decode.capacity)) return;
    const uint64_t first = static_cast<uint64_t>(picture) * decode.capacity;
    reinterpret_cast<trtdet_candidate*>(decode.candidates)[first + at] = candidate;
  }
};

}  // namespace

// (256, 1): without the 1, ptxas saves registers for a second block and spills.
//
// Grid: x and y cover the input's width and height, z the batch.
extern "C" __global__ void __launch_bounds__(256, 1) trtdet_letterbox_kernel(const trtdet_block* block) {
  const trtdet_letterbox& letterbox = block->letterbox;
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  const int picture = blockIdx.z;
  if (x >= letterbox.width || y >= letterbox.height || picture >= letterbox.count) return;
  if (letterbox.half) {
    trtdet::LetterboxPixel<trtdet::Half>(letterbox, picture, x, y);
  } else {
    trtdet::LetterboxPixel<float>(letterbox, picture, x, y);
  }
}

// Grid: x covers the positions of the largest view, y the views, z the batch.
extern "C" __global__ void __launch_bounds__(256, 1) trtdet_decode_kernel(const trtdet_block* block) {
  const trtdet_decode& decode = block->decode;
  const trtdet_view& view = reinterpret_cast<const trtdet_view*>(decode.views)[blockIdx.y];
  const int position = blockIdx.x * blockDim.x + threadIdx.x;
  const int picture = blockIdx.z;
  if (position >= view.count || picture >= decode.count) return;
  Out out{decode, picture};
  if (view.half) {
    trtdet::DecodePrediction<trtdet::Half>(decode, view, picture, position, out);
  } else {
    trtdet::DecodePrediction<float>(decode, view, picture, position, out);
  }
}
