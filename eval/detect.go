package eval

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/pipeline"
)

// DetectOptions say how Detect runs.
type DetectOptions struct {
	// Batch and Workers are pipeline.Options'.
	Batch, Workers int
	// Limits on the images.
	Limits imaging.Limits
	// Done, when set, is called after each picture, by one goroutine.
	Done func()
}

// Detections are what a detector makes of a dataset.
type Detections struct {
	// Pictures has those of each picture that is left in the dataset.
	Pictures [][]Detection
	Times    StageTimes
	// Unread is how many pictures could not be read.
	Unread int
}

// StageTimes are the mean milliseconds from begin to end of each stage of a
// picture, a batch's time shared evenly among its pictures. Where several
// batches are in the network at once, each waits for the others, and the sum is
// longer than the run took.
type StageTimes struct {
	Read      float64 `json:"read"`
	Letterbox float64 `json:"letterbox"`
	Network   float64 `json:"network"`
	Decode    float64 `json:"decode"`
	NMS       float64 `json:"nms"`
}

// Detect takes every picture of a dataset through a detector. It sets the
// pictures' sizes; those that cannot be read leave the dataset and join its
// problems. It returns the detector's error, ctx's, or one if no picture at all
// can be read.
func Detect(ctx context.Context, d pipeline.Detector, data *Dataset, o DetectOptions) (*Detections, error) {
	found := &Detections{}
	pictures := data.Pictures
	data.Pictures = nil
	var firstUnread error
	err := pipeline.Run(ctx, d, paths(pictures), pipeline.Options{
		Batch: o.Batch, Workers: o.Workers, Limits: o.Limits,
		Emit: func(item *pipeline.Item) error {
			if o.Done != nil {
				o.Done()
			}
			p := pictures[item.Index]
			if item.Err != nil {
				problem := unread(p.Path, item.Err)
				data.Problems.Add(problem)
				if found.Unread++; firstUnread == nil {
					firstUnread = problem
				}
				return nil
			}
			if problem := p.SetSize(item.Width, item.Height); problem != nil {
				data.Problems.Add(*problem)
			}
			found.add(item)
			data.Pictures = append(data.Pictures, p)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if len(data.Pictures) == 0 {
		return nil, fmt.Errorf("none of %d pictures can be read; the first: %w", len(pictures), firstUnread)
	}
	found.Times.divide(float64(len(data.Pictures)))
	return found, nil
}

func paths(pictures []Picture) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, p := range pictures {
			if !yield(p.Path, nil) {
				return
			}
		}
	}
}

// unread is the problem of a picture that cannot be read. Its text does not
// name the file again, as the error does.
func unread(path string, err error) Problem {
	text := strings.TrimPrefix(err.Error(), path+": ")
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		text = of.Err.Error()
	}
	return Problem{Kind: UnreadPicture, File: path, Text: short(text)}
}

func (d *Detections) add(item *pipeline.Item) {
	found := make([]Detection, len(item.Result.Detections))
	for i, one := range item.Result.Detections {
		found[i] = Detection{Class: one.ClassID, Score: one.Score, Box: one.Box}
	}
	d.Pictures = append(d.Pictures, found)
	t := item.Result.Timing
	share := 1e3 / float64(t.Pictures)
	d.Times.Read += 1e3 * item.Read.Seconds()
	// on a GPU with the copies around them
	d.Times.Letterbox += share * (t.CopyIn + t.Letterbox).Seconds()
	d.Times.Network += share * t.Network.Seconds()
	d.Times.Decode += share * (t.Decode + t.CopyOut).Seconds()
	d.Times.NMS += share * t.NMS.Seconds()
}

func (t *StageTimes) divide(by float64) {
	for _, v := range []*float64{&t.Read, &t.Letterbox, &t.Network, &t.Decode, &t.NMS} {
		*v /= by
	}
}
