package model

import "github.com/trtdet/trtdet/decode"

// The precisions of a network's weights and arithmetic.
const (
	FP32 = "fp32"
	FP16 = "fp16"
	BF16 = "bf16"
	INT8 = "int8"
	FP8  = "fp8"
)

// Hints are what the user says about a model. Every zero field is unsaid. A
// hint comes before what the file says about itself; one that the graph
// contradicts is an error that wraps ErrHint.
type Hints struct {
	// Head is KIND, LAYOUT, or both separated by a comma (--head), for example
	// "decoupled-base,split".
	Head string
	// Family is yolov5, yolox or yolov8.
	Family string
	// Anchors are width and height in pixels of the input, per level and
	// anchor (--anchors).
	Anchors [][][2]float32
	// Cfg is the path of a YOLOv5 model.yaml: anchors and nc (--cfg).
	Cfg string
	// Data is the path of a data.yaml: class names (--data).
	Data string
	// Classes is the number of classes.
	Classes int
	// Names are the classes' names; --data and the file's own come after it.
	Names []string
	// Conf and IoU replace the head's default thresholds, 0 to 1.
	Conf, IoU *float32
	// Letterbox ("center", "top-left"), ChannelOrder ("rgb", "bgr") and
	// PixelRange (1, 255) replace the family's preprocessing.
	Letterbox    string
	ChannelOrder string
	PixelRange   float32
}

// TensorInfo is an input or output of a network.
type TensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"` // numpy's name: float32, float16, ...
	Shape []int  `json:"shape"` // -1 where it varies from run to run
}

// Spec is everything a model file says that matters for detection.
type Spec struct {
	Head       decode.Head
	Preprocess decode.Preprocess
	Names      []string // one per class, by class id
	Thresholds decode.Thresholds
	Inputs     []TensorInfo
	Outputs    []TensorInfo
	Precision  string // fp32, fp16, bf16, int8 or fp8
	Parameters int64  // learned weights that the network, once cut, still uses
	Cut        bool   // the graph decoded inside and was cut back to its raw maps
	Opset      int
	Nodes      int      // after the cut
	Notes      []string // what a user should know about how the file was read
}
