package report

import (
	"io"

	"github.com/trtdet/trtdet/eval"
)

// coco writes COCO results: image_id is what YOLOv5 makes of the unique name,
// category_id the class index.
type coco struct{ *eval.Results }

func newCOCO(w io.Writer) coco { return coco{eval.NewResults(w)} }

func (c coco) Write(r *Record) error {
	if r.Err != nil {
		return nil
	}
	id := eval.StemID(r.Name)
	for _, d := range r.Detections {
		box := [4]float32{d.Box.X1, d.Box.Y1, d.Box.Width(), d.Box.Height()}
		if err := c.Results.Write(eval.Result[float32]{ImageID: id, CategoryID: d.ClassID, BBox: box, Score: d.Score}); err != nil {
			return err
		}
	}
	return nil
}
