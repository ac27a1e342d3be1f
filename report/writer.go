package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/trtdet/trtdet/engine"
)

// Record is one picture's line in a report.
type Record struct {
	// Source is the picture's path as the user gave it.
	Source string
	// Name is the picture's file name, made unique among all of the run's.
	Name string
	// Width and Height of the picture as shown, in pixels.
	Width, Height int
	Detections    []engine.Detection
	// Err says why there are no detections.
	Err error
}

// Writer writes records in one format. Close ends the format's framing; it
// does not close the stream.
type Writer interface {
	Write(*Record) error
	Close() error
}

// Formats are the names NewWriter takes.
var Formats = []string{"table", "jsonl", "coco", "csv"}

// NewWriter returns the writer for a format; o is the table's. Records with Err
// appear in jsonl; the other formats have no place for them.
func NewWriter(format string, w io.Writer, o TableOptions) (Writer, error) {
	switch format {
	case "table":
		return newTable(w, o), nil
	case "jsonl":
		return newJSONLines(w), nil
	case "coco":
		return newCOCO(w), nil
	case "csv":
		return newCSV(w), nil
	}
	return nil, fmt.Errorf("format %q is none of %s", format, strings.Join(Formats, ", "))
}
