package eval

import (
	"bufio"
	"encoding/json"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// Results writes detections as COCO results, which pycocotools' loadRes reads:
// a JSON array with one detection a line.
type Results struct {
	w    io.Writer
	lead string
}

// NewResults begins an array on w.
func NewResults(w io.Writer) *Results { return &Results{w, "["} }

// Result is one detection. Number is float32, with the digits that tell one from
// the next, or float64, with every digit of a difference of two.
type Result[Number float32 | float64] struct {
	ImageID    any       `json:"image_id"`
	CategoryID int       `json:"category_id"`
	BBox       [4]Number `json:"bbox"` // x, y, width, height in pixels of the picture
	Score      Number    `json:"score"`
}

// Write writes a Result.
func (r *Results) Write(result any) error {
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = io.WriteString(r.w, r.lead+"\n"+string(line))
	r.lead = ","
	return err
}

// Close ends the array; w stays open.
func (r *Results) Close() error {
	end := "\n]\n"
	if r.lead == "[" {
		end = "[]\n"
	}
	_, err := io.WriteString(r.w, end)
	return err
}

// StemID is what YOLOv5 calls a picture in COCO files: its name without the
// extension, as an int64 where that is a number.
func StemID(path string) any {
	stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if n, err := strconv.ParseInt(stem, 10, 64); err == nil {
		return n
	}
	return stem
}

// SharedIDs returns how many pictures have the ID of one before them, and the
// first two that share theirs: nobody can tell them apart in COCO results.
func (d *Dataset) SharedIDs() (n int, one, other string) {
	first := make(map[any]string, len(d.Pictures))
	for _, p := range d.Pictures {
		before, taken := first[p.ID]
		if !taken {
			first[p.ID] = p.Path
			continue
		}
		if n++; n == 1 {
			one, other = before, p.Path
		}
	}
	return n, one, other
}

// WriteResults writes a dataset's detections as COCO results, with every digit,
// so that the figures are the same from the file. Detections of a class that the
// annotations have no category for are left out: no id is free to stand for it.
func WriteResults(w io.Writer, d *Dataset, detections [][]Detection) error {
	b := bufio.NewWriter(w)
	results := NewResults(b)
	for p, found := range detections {
		for _, det := range found {
			category, known := d.Category(det.Class)
			if !known {
				continue
			}
			if err := results.Write(Result[float64]{d.Pictures[p].ID, category, xywh(det), float64(det.Score)}); err != nil {
				return err
			}
		}
	}
	if err := results.Close(); err != nil {
		return err
	}
	return b.Flush()
}
