/*
 * What the kernels are told. Each kernel takes one pointer, to a block in device memory, so that a CUDA graph bakes in
 * nothing that varies from batch to batch. Go fills blocks through cgo; addresses are device addresses, and plain
 * pointers where the kernels are compiled for the host.
 */
#ifndef TRTDET_KERNELS_BLOCK_H_
#define TRTDET_KERNELS_BLOCK_H_

#include <stdint.h>

/* One picture of a batch and where it lies in the network's input (decode.Fit in Go). */
typedef struct trtdet_picture {
  uint64_t pixels; /* first byte of 8-bit pixels, 3 bytes each, rows from the top; 0 leaves the input as it is */
  uint64_t pitch;  /* bytes from one row to the next */
  int32_t width, height;
  int32_t resized_width, resized_height;
  int32_t left, top;     /* corner of the resized picture in the input */
  double step_x, step_y; /* picture's pixels per resized pixel: 1 / (resized / size), as cv2 computes it */
  int32_t swapped;       /* not 0: the network's first channel is the pixels' third byte */
  int32_t reserved;
} trtdet_picture;

/* uint8 (height, width, 3) of each picture to the network's input (B, 3, height, width). */
typedef struct trtdet_letterbox {
  uint64_t pictures; /* trtdet_picture[count] */
  uint64_t input;    /* float or half */
  int32_t count;     /* pictures; the rest of the batch is left as it is */
  int32_t width, height;
  int32_t half; /* not 0: input is half */
  float range;  /* what a white pixel becomes: 1 or 255 */
  int32_t reserved;
} trtdet_letterbox;

/*
 * The predictions of one anchor of one level, over the batch: of picture b, channel k of position p is at
 * b * next + k * channel + p * position from each address, counted in numbers.
 */
typedef struct trtdet_view {
  uint64_t box, conf, labels; /* each from its own first channel on; conf is 0 where there is none */
  uint64_t box_next, conf_next, labels_next;
  uint64_t channel, position;
  int32_t count;                     /* positions */
  int32_t anchor;                    /* number of the first one among all of a picture's (decode.Candidate.Anchor) */
  int32_t nx;                        /* cells in a row of the grid */
  int32_t half;                      /* not 0: the numbers are half, not float */
  float stride;                      /* input pixels per cell */
  float anchor_width, anchor_height; /* YOLOv5's, in input pixels */
  int32_t reserved;
} trtdet_view;

typedef enum trtdet_formula {
  TRTDET_YOLOV5 = 0,  /* xy = (2y - 0.5 + grid) * stride, wh = (2y)^2 * anchor, y = sigmoid(p) */
  TRTDET_YOLOX = 1,   /* xy = (p + grid) * stride, wh = exp(p) * stride */
  TRTDET_YOLOV8 = 2,  /* sides = (grid + 0.5 -+ distance) * stride, distance the mean over reg_max bins */
  TRTDET_DECODED = 3, /* center and size in input pixels */
  TRTDET_CORNERS = 4  /* corners in input pixels, score, class id */
} trtdet_formula;

/* decode.Candidate of Go, byte for byte: corners in input pixels. */
typedef struct trtdet_candidate {
  float x1, y1, x2, y2;
  float score;
  int32_t class_id;
  int32_t anchor;
} trtdet_candidate;

/* What one picture's candidates have to exceed. */
typedef struct trtdet_threshold {
  float conf;   /* of scores, and of confidences */
  float border; /* the same threshold as the tensor has it: in logits where there are logits */
} trtdet_threshold;

/* What was found in one picture. */
typedef struct trtdet_found {
  uint32_t candidates; /* all that pass; more than capacity says how much room is needed */
  uint32_t non_finite; /* predictions dropped because a number in them is NaN or infinite */
} trtdet_found;

/* Raw maps to candidates. */
typedef struct trtdet_decode {
  uint64_t views;      /* trtdet_view[] */
  uint64_t thresholds; /* trtdet_threshold[count] */
  uint64_t found;      /* trtdet_found[count], zeros before the launch */
  uint64_t candidates; /* trtdet_candidate[count][capacity], in no order */
  int32_t count;       /* pictures */
  int32_t capacity;
  int32_t classes;
  int32_t formula;     /* trtdet_formula */
  int32_t logits;      /* not 0: confidence and labels still need a sigmoid, and so do YOLOv5's boxes */
  int32_t multi_label; /* not 0: every label that passes makes a candidate, not the best alone */
  int32_t reg_max;     /* YOLOv8's bins of a distance; 0 elsewhere */
  int32_t reserved;
} trtdet_decode;

typedef struct trtdet_block {
  trtdet_letterbox letterbox;
  trtdet_decode decode;
} trtdet_block;

#endif /* TRTDET_KERNELS_BLOCK_H_ */
