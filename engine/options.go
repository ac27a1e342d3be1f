package engine

import (
	"log/slog"
	"time"

	"github.com/trtdet/trtdet/model"
)

// Options say how a model is run. The zero value runs it with the model's own
// thresholds on the best device there is, and so does nil.
type Options struct {
	// Device to run on; the zero value is the best that there is.
	Device Device
	// Head is what the caller knows of the head and the model file does not
	// say. Its Conf and IoU replace the model's thresholds.
	Head model.Hints
	// Height and Width of the network's input in pixels, for a network whose
	// input size is dynamic; 0 takes 640. They are rounded up to a whole number
	// of the head's largest stride.
	Height, Width int
	// Batch is the most pictures to compute at once; 0 means all that an engine,
	// or a network with a fixed batch, takes, and 1 where any number goes. Above
	// 1 a network with a fixed batch of one is made dynamic where it can be.
	Batch int
	// HostMemory is how many bytes of the host's memory the images of all calls may
	// take while they are read and computed. Calls wait for room; an image that takes
	// more by itself is refused with ErrMemoryLimit. 0 means a quarter of the memory
	// that the process may use, its control group and GOMEMLIMIT considered.
	HostMemory int64
	// DeviceMemory is how many bytes of each GPU the Detector may take beside
	// TensorRT's own, such as the weights: for activations, images and candidates of
	// all streams. 0 means what batch and streams need by themselves, and half of
	// what is free then for images. On the CPU it means nothing.
	DeviceMemory int64
	// QueueLimit is how many pictures may wait for their turn beside those that are
	// being read and computed; calls beyond it end in ErrOverloaded. 0 means
	// 1024.
	QueueLimit int
	// MaxDelay is how long pictures that a slot is free for may be held for others
	// to fill their batch; 0 sends on at once what is ready. They are held where
	// more pictures than they were under way lately: for callers who have been
	// answered and come again. Who is alone is not, but for a try now and then, nor
	// is what a deadline leaves no time to hold.
	MaxDelay time.Duration
	// MaxDet is the most detections kept in a picture, 1 or more; 0 means 1000.
	MaxDet int
	// Classes and ClassNames keep only these classes, by index and by name; both
	// empty keep all. One that the model does not have is an *UnknownClassError.
	Classes    []int
	ClassNames []string
	// AgnosticNMS lets a box suppress boxes of other classes.
	AgnosticNMS bool
	// MultiLabel lets a prediction become a detection of each class whose score
	// passes, not of the best alone; YOLOv5 measures so and detects without.
	MultiLabel bool
	// Threads the CPU computes with; 0 means one per core.
	Threads int
	// Slots is how many batches the network works on at once, on the CPU each
	// with its share of Threads. More give more pictures a second, one gives
	// each picture back soonest; 0 means 1, on a GPU 2.
	Slots int
	// StageTimes tells the stages of Timing apart on a GPU, with events that cost
	// each batch a few microseconds.
	StageTimes bool
	// NoGraphs has a GPU's work put in call by call instead of as CUDA graphs.
	NoGraphs bool
	// Log gets warnings; nil means slog.Default.
	Log *slog.Logger
}

// The defaults of Options' zeros, YOLOv5's own.
const (
	DefaultImgSize = 640
	DefaultMaxDet  = 1000
)

// DefaultQueueLimit is that of Options.QueueLimit.
const DefaultQueueLimit = 1024
