/* The kernels of kernels.cu compiled for the host: what tests and the simulated GPU run. */
#ifndef TRTDET_KERNELS_HOST_H_
#define TRTDET_KERNELS_HOST_H_

#include "block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every thread of a launch, one after the other. Addresses in the block are plain pointers. */
void trtdet_host_letterbox(const trtdet_block* block);
void trtdet_host_decode(const trtdet_block* block, int32_t views);

#ifdef __cplusplus
}
#endif

#endif /* TRTDET_KERNELS_HOST_H_ */
