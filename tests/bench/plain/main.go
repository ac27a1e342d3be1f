// Command plain is the loop that people write around ONNX Runtime, with
// trtdet's own letterbox, decode and NMS: a batch is made, run and decoded, then
// the next. It prints pictures a second.
//
//	plain -loops 1 -threads 2 -batch 1 -imgsz 640 -seconds 2 LIBRARY MODEL PICTURE
package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

func main() {
	loops := flag.Int("loops", 1, "loops at once, each with a session of its own")
	threads := flag.Int("threads", 2, "of each session")
	batch := flag.Int("batch", 1, "pictures at once")
	imgsz := flag.Int("imgsz", 640, "of the network's input")
	seconds := flag.Float64("seconds", 2, "how long it takes")
	flag.Parse()
	rate, err := run(flag.Arg(0), flag.Arg(1), flag.Arg(2), *loops, *threads, *batch, *imgsz, time.Duration(*seconds*float64(time.Second)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
	fmt.Println(rate)
}

func run(library, path, file string, loops, threads, batch, imgsz int, duration time.Duration) (float64, error) {
	onnxruntime.SetSharedLibraryPath(library)
	if err := onnxruntime.InitializeEnvironment(); err != nil {
		return 0, err
	}
	picture, err := imaging.Open(file, imaging.Limits{})
	if err != nil {
		return 0, err
	}
	var all []*loop
	for range loops {
		l, err := newLoop(path, threads, batch, imgsz)
		if err != nil {
			return 0, err
		}
		if err := l.step(picture); err != nil { // what is allocated once
			return 0, err
		}
		all = append(all, l)
	}
	start := time.Now()
	var running sync.WaitGroup
	for _, l := range all {
		running.Go(func() {
			for l.err == nil && time.Since(start) < duration {
				l.err = l.step(picture)
				l.pictures += batch
			}
		})
	}
	running.Wait()
	took := time.Since(start)
	pictures := 0
	for _, l := range all {
		if l.err != nil {
			return 0, l.err
		}
		pictures += l.pictures
	}
	return float64(pictures) / took.Seconds(), nil
}

// loop has a session and the memory of one batch.
type loop struct {
	session    *onnxruntime.DynamicAdvancedSession
	spec       model.Spec
	decoder    *decode.Decoder
	imgsz      int
	batch      int
	input      *onnxruntime.Tensor[float32]
	outputs    []onnxruntime.Value // nil before the first batch
	views      []decode.Tensor
	candidates []decode.Candidate
	pictures   int
	err        error
}

func newLoop(path string, threads, batch, imgsz int) (*loop, error) {
	n, err := model.Load(path, &model.Hints{})
	if err != nil {
		return nil, err
	}
	if size, dynamic := n.Batch(); !dynamic && size == 1 && batch > 1 {
		if err := n.MakeBatchDynamic(); err != nil {
			return nil, err
		}
	}
	data, err := n.Marshal()
	if err != nil {
		return nil, err
	}
	l := &loop{spec: n.Spec, imgsz: imgsz, batch: batch}
	if l.decoder, err = decode.NewDecoder(n.Head); err != nil {
		return nil, err
	}
	options, err := onnxruntime.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(threads); err != nil {
		return nil, err
	}
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Name)
		l.views = append(l.views, decode.Tensor{Name: o.Name})
	}
	l.outputs = make([]onnxruntime.Value, len(names))
	if l.session, err = onnxruntime.NewDynamicAdvancedSessionWithONNXData(data, []string{n.Inputs[0].Name}, names, options); err != nil {
		return nil, err
	}
	l.input, err = onnxruntime.NewEmptyTensor[float32](onnxruntime.NewShape(int64(batch), 3, int64(imgsz), int64(imgsz)))
	return l, err
}

// step takes one batch all the way.
func (l *loop) step(picture *imaging.Picture) error {
	fit := decode.NewFit(picture.Width, picture.Height, l.imgsz, l.imgsz, l.spec.Preprocess.Letterbox)
	size := 3 * l.imgsz * l.imgsz
	for i := range l.batch {
		imaging.Letterbox(l.input.GetData()[i*size:(i+1)*size], picture, fit, l.spec.Preprocess)
	}
	if err := l.session.Run([]onnxruntime.Value{l.input}, l.outputs); err != nil {
		return err
	}
	for i, o := range l.outputs {
		l.views[i].Data = o.(*onnxruntime.Tensor[float32]).GetData()
		l.views[i].Shape = l.views[i].Shape[:0]
		for _, side := range o.GetShape() {
			l.views[i].Shape = append(l.views[i].Shape, int(side))
		}
	}
	for i := range l.batch {
		var err error
		l.candidates, _, err = l.decoder.Decode(l.candidates[:0], l.views, i, l.imgsz, l.imgsz, l.spec.Thresholds.Conf)
		if err != nil {
			return err
		}
		for _, k := range decode.NMS(l.candidates, decode.NMSOptions{IoU: l.spec.Thresholds.IoU, MaxDet: 1000}) {
			_ = fit.ToPicture(k.Box)
		}
	}
	return nil
}
