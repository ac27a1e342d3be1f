// Package report writes what a detector found: as JSON lines, COCO results,
// CSV or a table on one stream, and as annotated pictures, YOLO label files and
// crops in a folder.
//
// It knows detections and pictures, not where they come from. A Writer is used
// by one goroutine; a Folder by any number.
package report
