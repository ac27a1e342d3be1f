package engine

import (
	"encoding/json"
	"time"

	"github.com/trtdet/trtdet/decode"
)

// Detection is one object found in a picture.
type Detection struct {
	// ClassID is the class's index; Class its name, or the index as text where
	// the model names no classes.
	ClassID int
	Class   string
	// Score is confidence times label, 0 to 1.
	Score float32
	// Box is in pixels of the picture, clipped to it.
	Box decode.Box
}

// detectionJSON is a Detection's form in JSON.
type detectionJSON struct {
	ClassID int        `json:"class_id"`
	Class   string     `json:"class"`
	Score   float32    `json:"score"`
	Box     [4]float32 `json:"box"`
}

// MarshalJSON writes {"class_id","class","score","box":[x1,y1,x2,y2]}.
func (d Detection) MarshalJSON() ([]byte, error) {
	return json.Marshal(detectionJSON{d.ClassID, d.Class, d.Score, [4]float32{d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2}})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Detection) UnmarshalJSON(text []byte) error {
	var j detectionJSON
	err := json.Unmarshal(text, &j)
	*d = Detection{j.ClassID, j.Class, j.Score, decode.Box{X1: j.Box[0], Y1: j.Box[1], X2: j.Box[2], Y2: j.Box[3]}}
	return err
}

// Result is what was found in one picture, best score first.
type Result struct {
	Detections []Detection `json:"detections"`
	// NonFinite counts predictions dropped because they held NaN or infinity:
	// a sign of a broken model, or of half precision that overflowed.
	NonFinite int `json:"non_finite"`
	// Timing is that of the whole batch the picture was in.
	Timing Timing `json:"timing"`
}

// MarshalJSON writes an empty list where nothing was found.
func (r Result) MarshalJSON() ([]byte, error) {
	type fields Result
	if r.Detections == nil {
		r.Detections = []Detection{}
	}
	return json.Marshal(fields(r))
}

// Timing is how long a batch spent in each stage, and its call before that. On a GPU the stages between
// Queue and NMS are told apart with Options.StageTimes only; otherwise Network
// has all of them. JSON has nanoseconds.
type Timing struct {
	Pictures  int           `json:"pictures"`   // in the batch
	Read      time.Duration `json:"read_ns"`    // of the call's pictures: decoded, or copied to where they are computed from
	Queue     time.Duration `json:"queue_ns"`   // the wait for its turn and for a slot
	CopyIn    time.Duration `json:"copy_in_ns"` // of pixels, from pinned memory to the device
	Letterbox time.Duration `json:"letterbox_ns"`
	Network   time.Duration `json:"network_ns"`
	Decode    time.Duration `json:"decode_ns"`
	CopyOut   time.Duration `json:"copy_out_ns"` // of candidates, from the device
	//lint:ignore ST1011 NMS is not a unit
	NMS time.Duration `json:"nms_ns"`
}
