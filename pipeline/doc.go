// Package pipeline takes a list of sources through a detector: it finds the
// pictures, reads them ahead, runs them in batches, and hands each result on
// in the order in which the pictures were given.
//
// Reading, the detector's work and what follows overlap; how many pictures are
// held at once does not depend on how many there are. The package knows the
// detector and pictures, not output formats.
package pipeline
