// Package gpus asks NVML about this machine's GPUs: what they are, how busy they
// are, what has gone wrong with them. It advises; without NVML everything works
// with less of it. It knows nothing of CUDA: a GPU is told by its UUID, because
// the driver's order need not be NVML's (CUDA_VISIBLE_DEVICES).
package gpus
