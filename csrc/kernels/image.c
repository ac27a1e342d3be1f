/* The fat binary of the kernels, as nvcc made it, for cuModuleLoadData. */
#include "image.h"

__asm__(
    ".pushsection .rodata, \"a\"\n"
    ".balign 16\n"
    ".hidden trtdet_kernels_begin, trtdet_kernels_end\n"
    "trtdet_kernels_begin: .incbin \"" TRTDET_FATBIN
    "\"\n"
    "trtdet_kernels_end: .byte 0\n"
    ".popsection\n");

extern const unsigned char trtdet_kernels_begin[];
extern const unsigned char trtdet_kernels_end[];

const void* trtdet_kernels_image(size_t* size) {
  *size = (size_t)(trtdet_kernels_end - trtdet_kernels_begin);
  return trtdet_kernels_begin;
}
