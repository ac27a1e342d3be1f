package model

import (
	"errors"

	"github.com/trtdet/trtdet/model/onnx"
)

// What a caller may act on. Every error of Load wraps one of these or an error
// of the file system, and names the file.
var (
	// ErrInvalid is a file that is not a sound ONNX model, or one that would
	// crash or stall a TensorRT parser.
	ErrInvalid = onnx.ErrInvalid
	// ErrNotDetector is a sound model that does something else, for example a
	// classifier.
	ErrNotDetector = errors.New("not a detector")
	// ErrUnknownHead is a detector whose outputs trtdet cannot decode.
	ErrUnknownHead = errors.New("unknown head")
	// ErrAmbiguous is a head that the file does not say enough about; the
	// message names the flags that say it.
	ErrAmbiguous = errors.New("the model file does not say everything about its head")
	// ErrHint is a flag, --cfg or --data file that contradicts itself or the
	// graph.
	ErrHint = errors.New("hint does not fit")
	// ErrBatch is a network whose batch cannot be made dynamic.
	ErrBatch = errors.New("the batch is baked into the graph")
	// ErrHalf is a network that cannot be turned into half precision.
	ErrHalf = errors.New("cannot be turned into half precision")
	// ErrManifest is a manifest that cannot be read.
	ErrManifest = errors.New("manifest cannot be used")
)
