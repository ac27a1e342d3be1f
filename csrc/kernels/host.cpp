#include "host.h"

#include "decode.h"
#include "letterbox.h"

namespace {

struct Out {
  const trtdet_decode& decode;
  int picture;

  trtdet_found* Found() const { return reinterpret_cast<trtdet_found*>(decode.found) + picture; }

  void NonFinite() const { __atomic_fetch_add(&Found()->non_finite, 1u, __ATOMIC_RELAXED); }

  void Candidate(const trtdet_candidate& candidate) const {
    const uint32_t at = __atomic_fetch_add(&Found()->candidates, 1u, __ATOMIC_RELAXED);
    if (at >= static_cast<uint32_t>(decode.capacity)) return;
    const uint64_t first = static_cast<uint64_t>(picture) * decode.capacity;
    reinterpret_cast<trtdet_candidate*>(decode.candidates)[first + at] = candidate;
  }
};

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
    Out out{decode, picture};
    for (int position = 0; position < view.count; ++position) {
      trtdet::DecodePrediction<T>(decode, view, picture, position, out);
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
