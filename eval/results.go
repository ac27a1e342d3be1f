package eval

import (
	"bufio"
	"encoding/json"
	"io"
)

// WriteResults writes detections as COCO results, which pycocotools' loadRes
// reads: an array of image_id, category_id, bbox [x, y, width, height] and
// score, with every digit, so that the figures are the same from the file.
// Detections of a class that the annotations have no category for are left out:
// no id is free to stand for it.
func WriteResults(w io.Writer, d *Dataset, detections [][]Detection) error {
	b := bufio.NewWriter(w)
	lead := "[\n"
	for p, found := range detections {
		for _, det := range found {
			category, known := d.Category(det.Class)
			if !known {
				continue
			}
			line, err := json.Marshal(struct {
				ImageID    any        `json:"image_id"`
				CategoryID int        `json:"category_id"`
				BBox       [4]float64 `json:"bbox"`
				Score      float64    `json:"score"`
			}{d.Pictures[p].ID, category, xywh(det), float64(det.Score)})
			if err != nil {
				return err
			}
			b.WriteString(lead) //nolint:errcheck // Flush tells
			b.Write(line)       //nolint:errcheck
			lead = ",\n"
		}
	}
	if lead == "[\n" {
		b.WriteString("[") //nolint:errcheck
	}
	b.WriteString("\n]\n") //nolint:errcheck
	return b.Flush()
}
