// Package ort is the CPU backend: it letterboxes on the host, runs the network
// in ONNX Runtime, found when the program runs, and decodes on the host.
//
// A Backend may be used from any goroutine. Several batches may be under way
// at once: one of them is in the network, the others are being letterboxed or
// decoded, so that the host's work hides behind the network's.
package ort
