// The letterbox of one pixel of the network's input: imaging.Letterbox of Go,
// to the bit, which is cv2's INTER_LINEAR of 8-bit pixels (imgproc/resize.cpp):
// weights are whole 2048ths, a row blended along x loses its low 4 bits, two
// such rows blended along y lose their low 16 bits each, and the sum is rounded
// to a byte.
#ifndef TRTDET_KERNELS_LETTERBOX_H_
#define TRTDET_KERNELS_LETTERBOX_H_

#include "block.h"
#include "number.h"

namespace trtdet {

constexpr int kPad = 114;  // level of the border, decode.Pad in Go

// Where a resized pixel comes from along one side: two neighbors and the
// weight of the second in 2048ths.
struct Source {
  int first, second;
  int weight;
};

TRTDET_DEVICE inline Source SourceOf(int at, double step, int size) {
  const auto place = static_cast<float>((at + 0.5) * step - 0.5);
  const float floor = floorf(place);
  const int first = static_cast<int>(floor);
  const int last = size - 1;
  const auto within = [last](int i) { return i < 0 ? 0 : i > last ? last : i; };
  return {within(first), within(first + 1), static_cast<int>(rintf((place - floor) * 2048))};
}

// Writes the three channels of pixel (x, y) of the input of picture index.
template <typename T>
TRTDET_DEVICE inline void LetterboxPixel(const trtdet_letterbox& letterbox, int index, int x, int y) {
  const trtdet_picture& picture = reinterpret_cast<const trtdet_picture*>(letterbox.pictures)[index];
  if (picture.pixels == 0) return;
  const uint64_t plane = static_cast<uint64_t>(letterbox.width) * letterbox.height;
  T* const to =
      reinterpret_cast<T*>(letterbox.input) + 3 * plane * index + static_cast<uint64_t>(y) * letterbox.width + x;
  const float divisor = 255 / letterbox.range;
  const int column = x - picture.left;
  const int row = y - picture.top;
  if (column < 0 || row < 0 || column >= picture.resized_width || row >= picture.resized_height) {
    for (int k = 0; k < 3; ++k) Store(to + k * plane, kPad / divisor);
    return;
  }
  const Source across = SourceOf(column, picture.step_x, picture.width);
  const Source down = SourceOf(row, picture.step_y, picture.height);
  const auto* const pixels = reinterpret_cast<const uint8_t*>(picture.pixels);
  const uint8_t* const upper = pixels + down.first * picture.pitch;
  const uint8_t* const lower = pixels + down.second * picture.pitch;
  for (int k = 0; k < 3; ++k) {
    const int channel = picture.swapped ? 2 - k : k;
    const int left = 3 * across.first + channel;
    const int right = 3 * across.second + channel;
    const int a = (upper[left] * (2048 - across.weight) + upper[right] * across.weight) >> 4;
    const int b = (lower[left] * (2048 - across.weight) + lower[right] * across.weight) >> 4;
    const int level = ((a * (2048 - down.weight) >> 16) + (b * down.weight >> 16) + 2) >> 2;
    Store(to + k * plane, level / divisor);
  }
}

}  // namespace trtdet

#endif  // TRTDET_KERNELS_LETTERBOX_H_
