// The kernels. What they compute is in letterbox.h and decode.h; here is which
// thread does which part of it. See block.h for what they are told.
#include "block.h"
#include "decode.h"
#include "letterbox.h"

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
  const trtdet::Out out{decode, picture};
  if (view.half) {
    trtdet::DecodePrediction<trtdet::Half>(out, view, position);
  } else {
    trtdet::DecodePrediction<float>(out, view, position);
  }
}
