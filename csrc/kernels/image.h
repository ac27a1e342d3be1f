#ifndef TRTDET_KERNELS_IMAGE_H_
#define TRTDET_KERNELS_IMAGE_H_

#include <stddef.h>

/* Returns the kernels compiled for every GPU that trtdet knows, *size bytes: what cuModuleLoadData takes. */
const void* trtdet_kernels_image(size_t* size);

/* Returns the same as PTX, *size bytes of which the last is zero, for a driver that takes none of the above. */
const char* trtdet_kernels_ptx(size_t* size);

#endif /* TRTDET_KERNELS_IMAGE_H_ */
