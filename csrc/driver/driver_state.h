/* Whether there is an NVIDIA driver; the part of the loader that needs none of CUDA's headers. */
#ifndef TRTDET_DRIVER_STATE_H_
#define TRTDET_DRIVER_STATE_H_

#ifdef __cplusplus
extern "C" {
#endif

struct trtdet_driver_state {
  int status;          /* CUresult of cuInit; CUDA_ERROR_NO_DEVICE where the driver cannot be loaded */
  const char* missing; /* why it cannot be loaded, NULL where it is */
};

/*
 * Loads the driver and starts it (cuInit), once per process: a driver does not come or go under a running one.
 * TRTDET_LIBCUDA names another library than libcuda.so.1.
 */
const struct trtdet_driver_state* trtdet_driver(void);

#ifdef __cplusplus
}
#endif

#endif /* TRTDET_DRIVER_STATE_H_ */
