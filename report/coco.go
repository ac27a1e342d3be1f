package report

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// coco writes one array of COCO detection results: image_id is the unique
// name's stem, as a number where it is one (as YOLOv5 does), category_id the class
// index, bbox [x, y, width, height] in pixels of the picture.
type coco struct {
	w     io.Writer
	first bool
}

func newCOCO(w io.Writer) *coco { return &coco{w, true} }

func (c *coco) Write(r *Record) error {
	if r.Err != nil {
		return nil
	}
	stem := strings.TrimSuffix(r.Name, filepath.Ext(r.Name))
	var id any = stem
	if n, err := strconv.ParseInt(stem, 10, 64); err == nil {
		id = n
	}
	for _, d := range r.Detections {
		line, err := json.Marshal(struct {
			ImageID    any        `json:"image_id"`
			CategoryID int        `json:"category_id"`
			BBox       [4]float32 `json:"bbox"`
			Score      float32    `json:"score"`
		}{id, d.ClassID, [4]float32{d.Box.X1, d.Box.Y1, d.Box.Width(), d.Box.Height()}, d.Score})
		if err != nil {
			return err
		}
		lead := ",\n"
		if c.first {
			lead, c.first = "[\n", false
		}
		if _, err := io.WriteString(c.w, lead+string(line)); err != nil {
			return err
		}
	}
	return nil
}

func (c *coco) Close() error {
	end := "\n]\n"
	if c.first {
		end = "[]\n"
	}
	_, err := io.WriteString(c.w, end)
	return err
}
