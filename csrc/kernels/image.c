#include "image.h"

__asm__(
    ".pushsection .rodata, \"a\"\n"
    ".balign 16\n"
    ".hidden trtdet_kernels_begin, trtdet_kernels_end, trtdet_ptx_begin, trtdet_ptx_end\n"
    "trtdet_kernels_begin: .incbin \"" TRTDET_FATBIN
    "\"\n"
    "trtdet_kernels_end: .byte 0\n"
    "trtdet_ptx_begin: .incbin \"" TRTDET_PTX
    "\"\n"
    ".byte 0\n"
    "trtdet_ptx_end:\n"
    ".popsection\n");

extern const unsigned char trtdet_kernels_begin[];
extern const unsigned char trtdet_kernels_end[];
extern const char trtdet_ptx_begin[];
extern const char trtdet_ptx_end[];

const void* trtdet_kernels_image(size_t* size) {
  *size = (size_t)(trtdet_kernels_end - trtdet_kernels_begin);
  return trtdet_kernels_begin;
}

const char* trtdet_kernels_ptx(size_t* size) {
  *size = (size_t)(trtdet_ptx_end - trtdet_ptx_begin);
  return trtdet_ptx_begin;
}
