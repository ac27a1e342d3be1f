package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/imaging"
)

// threads is what every network computes with, here and there.
const threads = "2"

// mattersMost are the rows that somebody reads who wants to know whether trtdet is
// fast, programs as they are used against what they would be replaced by.
var mattersMost = [...]string{
	"`run`, yolov5s decoupled-base at 640, a picture, against a plain Python pipeline",
	"`run`, the small net on 1080p JPEGs, a picture, against a plain Python pipeline",
	"peak memory of `run`, yolov5s, against a plain Python pipeline",
	"`run` over one picture against loading and running yolov5s in ONNX Runtime",
	"`Detect` from 8 goroutines, yolov5s on 1080p pictures, against the best plain loop over ONNX Runtime",
	"64 callers with JPEGs, the small net: `Detect` in the program against Triton's python backend over HTTP",
	"64 callers with JPEGs, the small net: examples/server over HTTP against Triton's python backend",
	"p99 of examples/server, the small net, against Triton",
	"`build` of yolov5s against TensorRT-RTX alone",
	"COCO's figures of 5,000 pictures with 100 boxes each against pycocotools",
}

var suites = slices.Concat([]suite{
	headSuite(100, "20 or more"), headSuite(1000, "20 or more"), headSuite(10000, "20 or more"),
	{
		name: "letterbox", prepare: prepareLetterbox, measure: measureServed,
		rows: []row{{"letterbox 1080p to 640: planes of floats against cv2.resize + copyMakeBorder, 1 thread each", "ours", "theirs", faster, "0.33 or more"}},
	},
	{
		name: "run-yolov5s", measure: func(b *bench, _ any) (figures, error) { return b.measureRun(b.yolov5s(), 41) },
		rows: []row{
			{"`run`, yolov5s decoupled-base at 640, a picture, against ONNX Runtime alone", "run", "network", faster, "0.95 or more"},
			{"`run`, yolov5s decoupled-base at 640, a picture, against a plain Python pipeline", "run", "python", faster, "1 or more"},
			{"peak memory of `run`, yolov5s, against a plain Python pipeline", "run memory", "python memory", less, "1 or more"},
		},
	},
	{
		name: "run-small", measure: func(b *bench, _ any) (figures, error) { return b.measureRun(b.small(), pictureCount) },
		rows: []row{
			{"`run`, the small net on 1080p JPEGs, a picture, against a plain Python pipeline", "run", "python", faster, "1.3 or more"},
			{"`run`, the small net, with Go's JPEG decoder, against a plain Python pipeline", "run without libjpeg-turbo", "python", faster, ""},
			{"`run`, the small net on 1080p JPEGs, a picture, against ONNX Runtime alone", "run", "network", faster, ""},
			{"peak memory of `run`, the small net, against a plain Python pipeline", "run memory", "python memory", less, ""},
		},
	},
	startSuite("the small net", (*bench).small), startSuite("yolov5s", (*bench).yolov5s),
	{
		name: "eval", prepare: prepareEvaluation, measure: measureEvaluation,
		rows: []row{{"COCO's figures of 5,000 pictures with 100 boxes each against pycocotools", "ours", "theirs", faster, "2 or more"}},
	},
	{
		name: "build", measure: measureBuild, turns: 7,
		rows: []row{
			{"`build` of yolov5s against TensorRT-RTX alone", "ours", "theirs", added, "10 % or less"},
			{"`build` of yolov5s against TensorRT-RTX alone with its plan synced to the disk, as ours is", "ours", "theirs synced", added, ""},
		},
	},
}, servingSuites)

// headSuite compares decode and NMS of a coupled yolov5s head at 640, of whose
// 25,200 anchors n pass.
func headSuite(n int, wanted string) suite {
	return suite{
		name:    fmt.Sprint("head-", n),
		prepare: func(b *bench) (any, func(), error) { return prepareHead(b, n) },
		measure: measureServed,
		rows: []row{{fmt.Sprintf("decode + NMS, %d of 25,200 anchors over 0.25: 1 thread against torch on 2", n),
			"ours", "theirs", faster, wanted}},
	}
}

// served is work of ours and a server that does the same.
type served struct {
	work        func() (result int, err error)
	server      *server
	repetitions int
}

// measureServed lets both sides repeat the work, and wants the same result
// from both where the server tells one.
func measureServed(b *bench, prepared any) (figures, error) {
	s := prepared.(*served)
	var times []float64
	var result int
	for range s.repetitions {
		start := time.Now()
		var err error
		if result, err = s.work(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start).Seconds())
	}
	theirs, got, err := s.server.ask(s.repetitions)
	if err != nil {
		return nil, err
	}
	if got != result {
		return nil, fmt.Errorf("ours comes to %d, theirs to %d: that is not the same work", result, got)
	}
	return figures{"ours": median(times), "theirs": theirs}, nil
}

func prepareHead(b *bench, n int) (any, func(), error) {
	head, outputs := headOutputs(n)
	d, err := decode.NewDecoder(head)
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(b.folder, fmt.Sprintf("head-%d.bin", n))
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range outputs {
		err = errors.Join(err, binary.Write(f, binary.LittleEndian, t.Data))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, err
	}
	server, err := serve(b.python("serve", "head", path, "0.25"))
	if err != nil {
		return nil, nil, err
	}
	var candidates []decode.Candidate
	work := func() (int, error) {
		var err error
		candidates, _, err = d.Decode(candidates[:0], outputs, 0, 640, 640, 0.25)
		return len(decode.NMS(candidates, decode.NMSOptions{IoU: 0.45, MaxDet: 1000})), err
	}
	return &served{work, server, 15}, server.close, nil
}

// headOutputs are the raw maps of a coupled head of 80 classes at 640x640, of
// whose 25,200 anchors n have a confidence that passes 0.25.
func headOutputs(n int) (decode.Head, []decode.Tensor) {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	head := decode.Head{Family: decode.YOLOv5, Kind: decode.Coupled, Layout: decode.Fused, Classes: 80}
	passes := make([]bool, 25200)
	for _, i := range rng.Perm(len(passes))[:n] {
		passes[i] = true
	}
	var outputs []decode.Tensor
	anchor := 0
	for _, stride := range []int{8, 16, 32} {
		side := 640 / stride
		plane := side * side
		t := decode.Tensor{Name: fmt.Sprint("output", stride), Shape: []int{1, 255, side, side}, Data: make([]float32, 255*plane)}
		for i := range t.Data {
			t.Data[i] = rng.Float32()*4 - 1
		}
		for a := range 3 {
			for p := range plane {
				conf := -6 - rng.Float32()
				if passes[anchor] {
					conf = 1 + 3*rng.Float32()
				}
				t.Data[(a*85+4)*plane+p] = conf
				anchor++
			}
		}
		head.Levels = append(head.Levels, decode.Level{Stride: stride, Anchors: [][2]float32{{30, 60}, {60, 40}, {50, 90}}, Outputs: []string{t.Name}})
		outputs = append(outputs, t)
	}
	return head, outputs
}

func prepareLetterbox(b *bench) (any, func(), error) {
	path := b.pictures(1)[0]
	p, err := imaging.Open(path, imaging.Limits{})
	if err != nil {
		return nil, nil, err
	}
	fit := decode.NewFit(p.Width, p.Height, 640, 640, decode.Center)
	pre := decode.Preprocess{Letterbox: decode.Center, ChannelOrder: decode.BGR, PixelRange: 255}
	dst := make([]float32, 3*640*640)
	server, err := serve(b.python("serve", "letterbox", path))
	if err != nil {
		return nil, nil, err
	}
	work := func() (int, error) {
		imaging.Letterbox(dst, p, fit, pre)
		return int(dst[320*640+320]), nil
	}
	return &served{work, server, 100}, server.close, nil
}

// measureRun gives the time of one picture of three programs over the same
// files, the last two without what they need to start: the time of n pictures
// less that of one, shared out.
func (b *bench) measureRun(model string, n int) (figures, error) {
	files := b.pictures(n)
	ours := []string{"run", model, "--device", "cpu", "--threads", threads, "--imgsz", "640", "--format", "jsonl", "--nosave"}
	f := figures{}
	for _, side := range []struct {
		name    string
		command func(n int) program
	}{
		{"run", func(n int) program {
			return program{b.command(b.trtdet(), append(slices.Clone(ours), files[:n]...)...)}
		}},
		{"python", func(n int) program {
			return program{b.python(append([]string{"detect", model, threads}, files[:n]...)...)}
		}},
		{"network", func(n int) program { return program{b.python("network", model, threads, strconv.Itoa(n))} }},
		{"run without libjpeg-turbo", func(n int) program {
			c := b.command(b.trtdet(), append(slices.Clone(ours), files[:n]...)...)
			c.Env = append(os.Environ(), imaging.EnvTurboJPEG+"=none")
			return program{c}
		}},
	} {
		one, err := side.command(1).spend()
		if err != nil {
			return nil, err
		}
		all, err := side.command(n).spend()
		if err != nil {
			return nil, err
		}
		f[side.name] = (all.seconds - one.seconds) / float64(n-1)
		f[side.name+" memory"] = all.memory
	}
	return f, nil
}

// startSuite holds the whole run over one picture to a program that only loads
// the net in ONNX Runtime and runs it once.
func startSuite(name string, model func(*bench) string) suite {
	return suite{
		name:  "start-" + strings.ReplaceAll(strings.TrimPrefix(name, "the "), " ", "-"),
		turns: 3,
		measure: func(b *bench, _ any) (figures, error) {
			theirs, err := program{b.command(b.programs("bare"), "onnxruntime", b.onnxruntime(), model(b))}.spend()
			if err != nil {
				return nil, err
			}
			ours, err := program{b.command(b.trtdet(), "run", model(b), "--threads", threads, "--format", "jsonl", "--nosave", b.pictures(1)[0])}.spend()
			return figures{"ours": ours.seconds, "theirs": theirs.seconds}, err
		},
		rows: []row{{"`run` over one picture against loading and running " + name + " in ONNX Runtime", "ours", "theirs", onTop, "+0.1 s or less"}},
	}
}

// measureBuild holds the whole of `build` to what TensorRT spends in a program
// that does nothing else.
func measureBuild(b *bench, _ any) (figures, error) {
	library := filepath.Join(b.top, "build/deps/tensorrt/lib")
	theirs, err := program{b.command(b.programs("bare"), "tensorrt", library, b.yolov5s())}.spend()
	if err != nil {
		return nil, err
	}
	synced, err := program{b.command(b.programs("bare"), "tensorrt-synced", library, b.yolov5s())}.spend()
	if err != nil {
		return nil, err
	}
	ours, err := program{b.command(b.trtdet(), "build", b.yolov5s(), "-o", filepath.Join(b.folder, "yolov5s.engine"), "--force", "--quiet")}.spend()
	return figures{"ours": ours.seconds, "theirs": theirs.seconds, "theirs synced": synced.seconds}, err
}
