// Package cuda drives NVIDIA GPUs: devices, memory, streams, events, the
// kernels. Most of it goes through gorgonia.org/cu, of which only the calls in
// allowed_test.go are used; the few that it lacks are called here.
//
// A CUDA context is current on one thread at a time, and goroutines move
// between threads. So everything that names a context happens inside
// Device.Do, which is short and never waits; waiting is one call that has the
// context current by itself.
package cuda
