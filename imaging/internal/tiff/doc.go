// Package tiff reads the first image of a TIFF or BigTIFF file into 8-bit RGB,
// with the pixels that cv2.imread (libtiff's RGBA interface) gives.
//
// ReadHeader looks at tags only, so that a caller can refuse a size before
// memory is taken. Decode takes as much as Header.Memory says. What cannot be
// read as cv2 reads it is refused. All functions may be called from any
// goroutine.
package tiff
