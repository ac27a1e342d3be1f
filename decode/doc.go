// Package decode turns a detector's output tensors into boxes: head specs and
// layouts, the host decoder, non-maximum suppression and the geometry of the
// letterbox.
//
// It is pure Go, reads no files and knows neither the network that made the
// tensors nor the machine that ran it. All functions may be called from any
// goroutine; a Decoder may be shared.
package decode
