// The decoding of one prediction: decode.Decoder of Go, check for check.
#ifndef TRTDET_KERNELS_DECODE_H_
#define TRTDET_KERNELS_DECODE_H_

#include "block.h"
#include "number.h"

namespace trtdet {

// Where the numbers of one prediction lie.
template <typename T>
struct Prediction {
  const T* box;
  const T* conf;  // nullptr where there is none
  const T* labels;
  uint64_t channel;

  TRTDET_DEVICE Prediction(const trtdet_view& view, int picture, int position)
      : box(At(view.box, view.box_next, view, picture, position)),
        conf(view.conf == 0 ? nullptr : At(view.conf, view.conf_next, view, picture, position)),
        labels(At(view.labels, view.labels_next, view, picture, position)),
        channel(view.channel) {}

  TRTDET_DEVICE float Box(int k) const { return ToFloat(box[k * channel]); }
  TRTDET_DEVICE float Label(int k) const { return ToFloat(labels[k * channel]); }

 private:
  TRTDET_DEVICE static const T* At(uint64_t address, uint64_t next, const trtdet_view& view, int picture,
                                   int position) {
    return reinterpret_cast<const T*>(address) + picture * next + position * view.position;
  }
};

TRTDET_DEVICE inline float Probability(const trtdet_decode& decode, float x) { return decode.logits ? Sigmoid(x) : x; }

// The greatest label: the first of equals, and the greatest of those before it.
struct Best {
  float label, before;
  int class_id;
  bool finite;  // all labels are
};

template <typename T>
TRTDET_DEVICE inline Best BestLabel(const Prediction<T>& prediction, int classes) {
  const float first = prediction.Label(0);
  Best best = {first, -INFINITY, 0, Finite(first)};
#ifdef __CUDA_ARCH__
#pragma unroll 8
#endif
  for (int k = 1; k < classes; ++k) {
    const float label = prediction.Label(k);
    best.finite = best.finite && Finite(label);
    if (label > best.label) {
      best.before = best.label;
      best.label = label;
      best.class_id = k;
    }
  }
  return best;
}

// Returns the first class whose score is the best one's: different labels can
// round to one score, and then YOLOv5, which compares scores, takes the first.
template <typename T>
TRTDET_DEVICE inline int FirstOfEquals(const trtdet_decode& decode, const Prediction<T>& prediction, const Best& best,
                                       float conf, float score) {
  if (best.class_id == 0 || conf * Probability(decode, best.before) != score) return best.class_id;
  for (int k = 0; k < best.class_id; ++k) {
    if (conf * Probability(decode, prediction.Label(k)) == score) return k;
  }
  return best.class_id;
}

// The distance in cells from a cell's middle to side k (left, top, right, bottom) of its box: the mean of a
// distribution.
template <typename T>
TRTDET_DEVICE inline float Distance(const Prediction<T>& prediction, int k, int reg_max) {
  const int first = k * reg_max;
  if (reg_max == 1) return prediction.Box(first);
  float greatest = prediction.Box(first);
  for (int j = 1; j < reg_max; ++j) {
    const float bin = prediction.Box(first + j);
    // as Go's max: NaN is the greatest of all
    if (bin > greatest || bin != bin) greatest = bin;
  }
  double sum = 0;
  double mean = 0;
  for (int j = 0; j < reg_max; ++j) {
    const double weight = exp(static_cast<double>(prediction.Box(first + j)) - static_cast<double>(greatest));
    sum += weight;
    mean += weight * j;
  }
  return static_cast<float>(mean / sum);
}

// Sets the corners of a candidate, in pixels of the input.
//
// YOLOv5 (models/yolo.py, Detect): y = sigmoid(p), xy = (2y - 0.5 + grid) *
// stride, wh = (2y)^2 * anchor. YOLOX (yolox_head.py, decode_outputs):
// xy = (p + grid) * stride, wh = exp(p) * stride. YOLOv8 (tal.py, dist2bbox):
// the sides lie (distance * stride) from the cell's middle.
template <typename T>
TRTDET_DEVICE inline void SetBox(const trtdet_decode& decode, const trtdet_view& view, const Prediction<T>& prediction,
                                 int position, trtdet_candidate* to) {
  if (decode.formula == TRTDET_YOLOV8) {
    const float middle_x = static_cast<float>(position % view.nx) + 0.5f;
    const float middle_y = static_cast<float>(position / view.nx) + 0.5f;
    to->x1 = (middle_x - Distance(prediction, 0, decode.reg_max)) * view.stride;
    to->y1 = (middle_y - Distance(prediction, 1, decode.reg_max)) * view.stride;
    to->x2 = (middle_x + Distance(prediction, 2, decode.reg_max)) * view.stride;
    to->y2 = (middle_y + Distance(prediction, 3, decode.reg_max)) * view.stride;
    return;
  }
  float x = prediction.Box(0);
  float y = prediction.Box(1);
  float w = prediction.Box(2);
  float h = prediction.Box(3);
  if (decode.formula == TRTDET_CORNERS) {
    to->x1 = x;
    to->y1 = y;
    to->x2 = w;
    to->y2 = h;
    return;
  }
  if (decode.formula == TRTDET_YOLOX) {
    x = (x + static_cast<float>(position % view.nx)) * view.stride;
    y = (y + static_cast<float>(position / view.nx)) * view.stride;
    w = static_cast<float>(exp(static_cast<double>(w))) * view.stride;
    h = static_cast<float>(exp(static_cast<double>(h))) * view.stride;
  } else if (decode.formula == TRTDET_YOLOV5) {
    x = (Probability(decode, x) * 2 + (static_cast<float>(position % view.nx) - 0.5f)) * view.stride;
    y = (Probability(decode, y) * 2 + (static_cast<float>(position / view.nx) - 0.5f)) * view.stride;
    w = Probability(decode, w) * 2;
    h = Probability(decode, h) * 2;
    w = w * w * view.anchor_width;
    h = h * h * view.anchor_height;
  }
  w /= 2;
  h /= 2;
  to->x1 = x - w;
  to->y1 = y - h;
  to->x2 = x + w;
  to->y2 = y + h;
}

// Whether the four numbers of a box are finite; what is wrong with one of YOLOv8's distances is wrong with its corner.
template <typename T>
TRTDET_DEVICE inline bool FiniteBox(const trtdet_decode& decode, const Prediction<T>& prediction) {
  return decode.formula == TRTDET_YOLOV8 || (Finite(prediction.Box(0)) && Finite(prediction.Box(1)) &&
                                             Finite(prediction.Box(2)) && Finite(prediction.Box(3)));
}

// Adds one, whatever other threads do; returns what was there.
TRTDET_DEVICE inline uint32_t Increment(uint32_t* count) {
#ifdef __CUDA_ARCH__
  return atomicAdd(count, 1u);
#else
  return __atomic_fetch_add(count, 1u, __ATOMIC_RELAXED);
#endif
}

// Which candidates of one picture pass, and where they go: appended in any
// order, as long as there is room, and counted.
struct Out {
  const trtdet_decode& decode;
  int picture;

  TRTDET_DEVICE trtdet_threshold Threshold() const {
    return reinterpret_cast<const trtdet_threshold*>(decode.thresholds)[picture];
  }

  TRTDET_DEVICE void NonFinite() const { Increment(&Found()->non_finite); }

  TRTDET_DEVICE void Candidate(const trtdet_candidate& candidate) const {
    const uint32_t at = Increment(&Found()->candidates);
    if (at >= static_cast<uint32_t>(decode.capacity)) return;
    const uint64_t first = static_cast<uint64_t>(picture) * decode.capacity;
    reinterpret_cast<trtdet_candidate*>(decode.candidates)[first + at] = candidate;
  }

 private:
  TRTDET_DEVICE trtdet_found* Found() const { return reinterpret_cast<trtdet_found*>(decode.found) + picture; }
};

// Decodes one prediction of a picture. out gets what passes as a Candidate, and
// a NonFinite where the prediction is dropped because a number that decides about it is
// NaN or infinite: its confidence; one of its labels, once the confidence
// passes; its box or score, once the score passes.
template <typename T>
TRTDET_DEVICE inline void DecodePrediction(const Out& out, const trtdet_view& view, int position) {
  const trtdet_decode& decode = out.decode;
  const trtdet_threshold threshold = out.Threshold();
  const Prediction<T> prediction(view, out.picture, position);
  float conf = 1;
  if (prediction.conf != nullptr) {
    conf = ToFloat(*prediction.conf);
    if (!Finite(conf)) return out.NonFinite();
    if (conf <= threshold.border) return;
  }
  const bool selected = decode.formula == TRTDET_CORNERS;  // the one label is the score, the class id stands behind it
  const Best best = BestLabel(prediction, selected ? 1 : decode.classes);
  if (!best.finite) return out.NonFinite();
  if (prediction.conf != nullptr) conf = Probability(decode, conf);
  trtdet_candidate candidate;
  candidate.score = conf * Probability(decode, best.label);
  if (!(candidate.score > threshold.conf)) return;  // nor do the other labels
  SetBox(decode, view, prediction, position, &candidate);
  if (!(FiniteBox(decode, prediction) && Finite(candidate.x1) && Finite(candidate.y1) && Finite(candidate.x2) &&
        Finite(candidate.y2) && Finite(candidate.score))) {
    return out.NonFinite();
  }
  candidate.anchor = view.anchor + position;
  if (selected) {
    const float class_id = prediction.Label(1);
    if (!(class_id >= 0 && class_id < static_cast<float>(decode.classes))) return out.NonFinite();
    candidate.class_id = static_cast<int32_t>(class_id);
    return out.Candidate(candidate);
  }
  if (!decode.multi_label) {
    candidate.class_id = FirstOfEquals(decode, prediction, best, conf, candidate.score);
    return out.Candidate(candidate);
  }
  for (int k = 0; k < decode.classes; ++k) {
    const float label = prediction.Label(k);
    if (decode.logits && label <= threshold.border) continue;  // no confidence lifts it over the threshold
    candidate.score = conf * Probability(decode, label);
    candidate.class_id = k;
    if (candidate.score > threshold.conf) out.Candidate(candidate);
  }
}

}  // namespace trtdet

#endif  // TRTDET_KERNELS_DECODE_H_
