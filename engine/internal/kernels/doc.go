// Package kernels is what the CUDA kernels are told: it fills the blocks of
// csrc/kernels/block.h. It allocates nothing and calls no driver; addresses are
// the device's.
package kernels
