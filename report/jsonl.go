package report

import (
	"encoding/json"
	"io"

	"github.com/trtdet/trtdet/engine"
)

// jsonLines writes one JSON object a picture, in order, nothing else.
type jsonLines struct{ encoder *json.Encoder }

func newJSONLines(w io.Writer) *jsonLines {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &jsonLines{e}
}

func (j *jsonLines) Write(r *Record) error {
	if r.Err != nil {
		return j.encoder.Encode(struct {
			Source string `json:"source"`
			Error  string `json:"error"`
		}{r.Source, r.Err.Error()})
	}
	detections := r.Detections
	if detections == nil {
		detections = []engine.Detection{}
	}
	return j.encoder.Encode(struct {
		Source     string             `json:"source"`
		Width      int                `json:"width"`
		Height     int                `json:"height"`
		Detections []engine.Detection `json:"detections"`
	}{r.Source, r.Width, r.Height, detections})
}

func (j *jsonLines) Close() error { return nil }
