// Package probe works out what a graph would do without running it: the shape
// of every tensor for given inputs, the numbers of those that are computed from
// shapes and constants, and, for the small graph behind a detection head, the
// numbers themselves.
//
// It knows operators, not detectors, and makes no claim to be a runtime: an
// operator it does not know leaves its outputs unknown. Memory and work are
// bounded. A Probe belongs to one goroutine.
package probe
