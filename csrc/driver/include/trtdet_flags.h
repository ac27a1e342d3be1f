/*
 * Found where the compiler has the flags that trtdet's Go code is built with, build/env.sh's or those of `trtdet env`.
 * trt/cgo.go looks for it, so that missing flags are called that and not a missing cuda.h.
 */
#ifndef TRTDET_FLAGS_H_
#define TRTDET_FLAGS_H_
#endif /* TRTDET_FLAGS_H_ */
