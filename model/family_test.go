package model

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// TestHalfAStrideOff has the graph subtract 0.5 twice, as the article's Detect
// does in YOLOv5 7.0: the boxes are refused, with the way to the right ones.
func TestHalfAStrideOff(t *testing.T) {
	made := func(seed int, offset float32, maps bool) *tailNet {
		net := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(uint64(seed), 3)), nc: 2, offset: offset}
		net.yolov5(net.backbone())
		net.output(net.rows)
		if maps {
			for _, name := range net.maps {
				net.output(name)
			}
		}
		return net
	}
	for i := range 40 {
		seed, maps := i/2, i%2 == 0
		want, err := parse(made(seed, 0.5, maps).bytes(t), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		layout := string(want.Head.Layout)
		off := made(seed, 1, maps).bytes(t)
		for _, head := range []string{"", "rows"} {
			_, err = parse(off, "", &Hints{Head: head})
			if !errors.Is(err, ErrUnknownHead) || !strings.Contains(err.Error(), "half a stride") || !strings.Contains(err.Error(), "--head "+layout) {
				t.Errorf("seed %d, maps beside %v, --head %s: %v", seed, maps, head, err)
			}
		}
		got, err := parse(off, "", &Hints{Head: layout})
		if err != nil {
			t.Fatalf("seed %d, maps beside %v: %v", seed, maps, err)
		}
		if fmt.Sprint(got.Head) != fmt.Sprint(want.Head) || !got.Cut {
			t.Errorf("seed %d, maps beside %v: head %+v, want %+v", seed, maps, got.Head, want.Head)
		}
	}
}

// TestDistanceMaps reads raw outputs of two convs a level: YOLOv8's by its sixteen
// bins, others on the user's word alone, for other detectors have two convs too.
func TestDistanceMaps(t *testing.T) {
	made := func(bins, nc int64, joined bool) []byte {
		s := newSmall(1, 3, 64, 96)
		for _, f := range s.backbone() {
			box, labels := s.conv(f, 8, 4*bins, 1, 1), s.conv(f, 8, nc, 1, 1)
			if joined {
				s.output(s.concat(1, box, labels))
			} else {
				s.output(box)
				s.output(labels)
			}
		}
		return s.bytes(t)
	}
	for _, joined := range []bool{false, true} {
		for _, c := range []struct {
			bins, nc int64
			head     string
			taken    bool
		}{{16, 3, "", true}, {16, 64, "", true}, {1, 3, "", false}, {1, 3, "yolov8", true}, {9, 27, "", false}, {8, 5, "yolov8", true}} {
			n, err := parse(made(c.bins, c.nc, joined), "", &Hints{Head: c.head})
			if !c.taken {
				if err == nil || errors.Is(err, ErrHint) {
					t.Errorf("%+v, joined %v: %v", c, joined, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%+v, joined %v: %v", c, joined, err)
				continue
			}
			h := n.Head
			if h.Family != decode.YOLOv8 || h.Layout != decode.Split || h.RegMax != int(c.bins) || h.Classes != int(c.nc) || len(h.Levels) != 2 || h.Levels[0].Stride != 4 {
				t.Errorf("%+v, joined %v: %+v", c, joined, h)
			}
		}
	}
	// anchors do not make YOLOv5's of them
	if n, err := parse(made(1, 3, true), "", &Hints{Anchors: [][][2]float32{{{4, 5}}, {{8, 9}}}}); err == nil {
		t.Errorf("two convs side by side are taken as %+v", n.Head)
	}
}

// TestFamily has branches of two 3x3 convs, as YOLOX's are: the formula, the
// anchors or the user say what decodes them, and how they are built does not.
func TestFamily(t *testing.T) {
	made := func(na int64, sigmoid bool) []byte {
		s := newSmall(1, 3, 64, 96)
		for _, f := range s.backbone() {
			x := s.silu(s.conv(f, 8, 8, 1, 1))
			branch := func() string { return s.silu(s.conv(s.silu(s.conv(x, 8, 8, 3, 1)), 8, 8, 3, 1)) }
			cls, reg := branch(), branch()
			box, conf, labels := s.conv(reg, 8, 4*na, 1, 1), s.conv(reg, 8, na, 1, 1), s.conv(cls, 8, 3*na, 1, 1)
			if sigmoid {
				conf, labels = s.node("Sigmoid", []string{conf}), s.node("Sigmoid", []string{labels})
			}
			s.output(s.concat(1, box, conf, labels))
		}
		return s.bytes(t)
	}
	anchors := func(na int) [][][2]float32 {
		level := make([][2]float32, na)
		for i := range level {
			level[i] = [2]float32{float32(4 + i), 9}
		}
		return [][][2]float32{level, level}
	}
	for _, c := range []struct {
		name    string
		na      int64
		sigmoid bool
		hints   Hints
		want    decode.Family
		kind    decode.Kind
		err     error
	}{
		{"three anchors", 3, false, Hints{Anchors: anchors(3)}, decode.YOLOv5, decode.KindUnknown, nil},
		{"three anchors, decoupled-base", 3, false, Hints{Anchors: anchors(3), Head: "decoupled-base"}, decode.YOLOv5, decode.DecoupledBase, nil},
		{"three anchors, yolox", 3, false, Hints{Anchors: anchors(3), Head: "yolox"}, "", "", ErrHint},
		{"one anchor", 1, false, Hints{Anchors: anchors(1)}, decode.YOLOv5, decode.KindUnknown, nil},
		{"one prediction a cell", 1, false, Hints{}, "", "", ErrAmbiguous},
		{"one prediction a cell, yolox", 1, false, Hints{Head: "yolox"}, decode.YOLOX, decode.KindYOLOX, nil},
		{"past YOLOX's sigmoid", 1, true, Hints{}, decode.YOLOX, decode.KindYOLOX, nil},
	} {
		n, err := parse(made(c.na, c.sigmoid), "", &c.hints)
		if c.err != nil {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v, want %v", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if n.Head.Family != c.want || n.Head.Kind != c.kind || n.Preprocess != c.want.Preprocess() {
			t.Errorf("%s: %s %s, %+v", c.name, n.Head.Family, n.Head.Kind, n.Preprocess)
		}
	}
}

// TestHintsAgainstTheInput has hints that what the graph does to its input
// contradicts.
func TestHintsAgainstTheInput(t *testing.T) {
	net := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(5, 5)), nc: 2, offset: 0.5}
	turned := net.node("Gather", []string{net.image, net.ints(2, 1, 0)}, onnx.IntAttr("axis", 1))
	net.image = net.scalar("Div", turned, 255)
	net.yolov5(net.backbone())
	net.output(net.rows)
	b := net.bytes(t)
	n, err := parse(b, "", nil)
	if err != nil || n.Preprocess != (decode.Preprocess{Letterbox: decode.Center, ChannelOrder: decode.BGR, PixelRange: 255}) {
		t.Fatalf("%+v, %v", n.Preprocess, err)
	}
	for _, h := range []Hints{{PixelRange: 1}, {ChannelOrder: "rgb"}} {
		if _, err := parse(b, "", &h); !errors.Is(err, ErrHint) || !strings.Contains(err.Error(), "leave it out") {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if _, err := parse(b, "", &Hints{PixelRange: 255, ChannelOrder: "bgr", Letterbox: "top-left"}); err != nil {
		t.Error(err)
	}
}

// TestRoundedBins has bins that are a little off: what quantizing does to
// constants is YOLOv8's formula still, where the graph is quantized.
func TestRoundedBins(t *testing.T) {
	for _, quantized := range []bool{false, true} {
		seen := 0
		for seed := range 12 {
			net := &tailNet{
				small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(uint64(seed), 9)), nc: 3, roundBins: true, quantized: quantized,
			}
			net.yolov8(net.backbone())
			if !slices.ContainsFunc(net.m.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("Softmax") }) {
				continue // no bins
			}
			seen++
			net.output(net.transpose(net.rows, 0, 2, 1))
			n, err := parse(net.bytes(t), "", nil)
			switch {
			case !quantized && !errors.Is(err, ErrUnknownHead):
				t.Errorf("seed %d: %v", seed, err)
			case quantized && (err != nil || n.Head.Layout != decode.Columns):
				t.Errorf("seed %d, quantized: %v", seed, err)
			}
		}
		if seen == 0 {
			t.Fatal("none has bins")
		}
	}
}
