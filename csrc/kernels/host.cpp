#include "host.h"

#include "decode.h"
#include "letterbox.h"

namespace {

template <typename T>
void Letterbox(const trtdet_letterbox& letterbox) {
  for (int picture = 0; picture < letterbox.count; ++picture) {
    for (int y = 0; y < letterbox.height; ++y) {
      for (int x = 0; x < letterbox.width; ++x) trtdet::LetterboxPixel<T>(letterbox, picture, x, y);
    }
  }
}

template <typename T>
void Decode(const trtdet_decode& decode, const trtdet_view& view) {
  for (int picture = 0; picture < decode.count; ++picture) {
    const trtdet::Out out{decode, picture};
    for (int position = 0; position < view.count; ++position) {
      trtdet::DecodePrediction<T>(out, view, position);
    }
  }
}

}  // namespace

void trtdet_host_letterbox(const trtdet_block* block) {
  if (block->letterbox.half) return Letterbox<trtdet::Half>(block->letterbox);
  Letterbox<float>(block->letterbox);
}

void trtdet_host_decode(const trtdet_block* block, int32_t views) {
  const auto* const view = reinterpret_cast<const trtdet_view*>(block->decode.views);
  for (int i = 0; i < views; ++i) {
    if (view[i].half) {
      Decode<trtdet::Half>(block->decode, view[i]);
    } else {
      Decode<float>(block->decode, view[i]);
    }
  }
}
