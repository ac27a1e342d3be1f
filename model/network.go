package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// Network is an ONNX file that was read for detection and, where it decoded
// inside, cut back to its raw maps. Its Spec follows every edit.
type Network struct {
	Spec
	name    string // in errors: its path
	model   *onnx.Model
	input   *onnx.ValueInfo
	reading *reading
	taken   map[string]bool // names that edits have made up
	hash    func() string
}

// SHA256 returns the hash, in hex, of the file as it lies on disk. The first
// call takes a while, about as long as Load.
func (n *Network) SHA256() string { return n.hash() }

// Load reads the ONNX file at path, with what h says about it (nil for
// nothing). External data is read from the file's folder. Errors name the file
// and wrap ErrInvalid, ErrNotDetector, ErrUnknownHead, ErrAmbiguous or ErrHint,
// or come from the file system.
func Load(path string, h *Hints) (*Network, error) {
	b, err := onnx.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n, err := parse(b, filepath.Dir(path), h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, withWayOut(err))
	}
	n.name = path
	return n, nil
}

// noName is what a model without a path is called.
const noName = "the model"

// Parse reads the bytes of an ONNX file, as Load does, and keeps them: they must
// not change while the Network is used. External data is refused.
func Parse(b []byte, h *Hints) (*Network, error) {
	n, err := parse(b, "", h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noName, withWayOut(err))
	}
	n.name = noName
	return n, nil
}

// withWayOut ends an error with what to do, where it does not yet: behind a
// semicolon, as everywhere.
func withWayOut(err error) error {
	switch {
	case strings.Contains(err.Error(), "; "):
		return err
	case errors.Is(err, ErrInvalid):
		return fmt.Errorf("%w; get the file again, or export it again", err)
	case errors.Is(err, ErrNotDetector):
		return fmt.Errorf("%w; give the ONNX file of a YOLOv5, YOLOX or YOLOv8 detector", err)
	case errors.Is(err, ErrUnknownHead), errors.Is(err, ErrAmbiguous):
		return fmt.Errorf("%w; export the detector alone, as its own program does unless told otherwise", err)
	}
	return err
}

// parse reads a network from the bytes of its file.
func parse(b []byte, dir string, h *Hints) (*Network, error) {
	if err := checkForeign(b); err != nil {
		return nil, err
	}
	m, err := onnx.Parse(b, dir)
	if err != nil {
		return nil, err
	}
	if err := m.Normalize(maxNodes); err != nil {
		return nil, err
	}
	if err := check(m); err != nil {
		return nil, err
	}
	if err := checkForm(m.Graph); err != nil {
		return nil, err
	}
	input, err := imageInput(m)
	if err != nil {
		return nil, err
	}
	input, side, err := readSide(m, input)
	if err != nil {
		return nil, err
	}
	said, err := gather(h, m.Meta)
	if err != nil {
		return nil, err
	}
	r, err := newReading(m, input)
	if err != nil {
		return nil, err
	}
	r.said, r.notes = said, said.remarks
	f, err := r.detect()
	if err != nil {
		return nil, err
	}
	if f.head.Kind == decode.KindUnknown && f.head.Layout != decode.Columns {
		r.note("the kind of the head is not one trtdet knows; its default threshold is YOLOv5's (say --head KIND if you know it)")
	}
	if err := f.head.Validate(); err != nil {
		if said.family != "" || said.layout != "" {
			return nil, fmt.Errorf("%w: %w", ErrHint, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnknownHead, err)
	}
	if err := r.cutTo(f.outputs); err != nil {
		return nil, err
	}
	n := &Network{model: m, input: input, reading: r, hash: sync.OnceValue(func() string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}), Spec: Spec{
		Head: f.head, Cut: f.cut,
		Precision: precision(r.index, m.Graph), Parameters: parameters(r.index, m.Graph),
	}}
	n.Names = r.nameClasses(n.Head.Classes)
	if err := n.defaults(h, side); err != nil {
		return nil, err
	}
	return n, n.refresh()
}

// defaults fills in thresholds and preprocessing: the hints', what the graph
// does to its input, or the head's.
func (n *Network) defaults(h *Hints, s *side) error {
	n.Thresholds = n.Head.DefaultThresholds()
	n.Preprocess = n.Head.Family.Preprocess()
	if pixels := s.pixelRange(); pixels != 0 {
		if h != nil && h.PixelRange != 0 && h.PixelRange != pixels {
			return fmt.Errorf("%w: --pixel-range %g, but the graph takes pixels of 0 to %g; leave it out", ErrHint, h.PixelRange, pixels)
		}
		n.Preprocess.PixelRange = pixels
	}
	if order := s.channelOrder(n.Preprocess.ChannelOrder); order != "" {
		if h != nil && h.ChannelOrder != "" && decode.ChannelOrder(h.ChannelOrder) != order {
			return fmt.Errorf("%w: --channel-order %s, but the graph takes %s; leave it out", ErrHint, h.ChannelOrder, order)
		}
		n.Preprocess.ChannelOrder = order
	}
	if h == nil {
		return nil
	}
	if h.Conf != nil {
		n.Thresholds.Conf = *h.Conf
	}
	if h.IoU != nil {
		n.Thresholds.IoU = *h.IoU
	}
	if err := validThresholds(n.Thresholds); err != nil {
		return fmt.Errorf("%w: %w", ErrHint, err)
	}
	if h.Letterbox != "" {
		n.Preprocess.Letterbox = decode.Placement(h.Letterbox)
	}
	if h.ChannelOrder != "" {
		n.Preprocess.ChannelOrder = decode.ChannelOrder(h.ChannelOrder)
	}
	if h.PixelRange != 0 {
		n.Preprocess.PixelRange = h.PixelRange
	}
	if err := n.Preprocess.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrHint, err)
	}
	return nil
}

// refresh brings the part of Spec that edits change up to date.
func (n *Network) refresh() error {
	r, err := newReading(n.model, n.input)
	if err != nil {
		return err
	}
	r.said, r.notes = n.reading.said, n.reading.notes
	n.reading = r
	if n.Inputs, err = r.describe([]*onnx.ValueInfo{n.input}); err != nil {
		return err
	}
	if n.Outputs, err = r.describe(n.model.Graph.Outputs); err != nil {
		return err
	}
	n.Opset, n.Nodes, n.Notes = int(n.model.Opset("")), len(n.model.Graph.Nodes), r.notes
	return nil
}

// InputSize returns the height and width in pixels that the network takes;
// dynamic where they may vary, and then a side that is fixed all the same is
// given and one that varies is 0.
func (n *Network) InputSize() (height, width int, dynamic bool) {
	s := n.input.Shape
	if s[2].Known {
		height = int(s[2].Value)
	}
	if s[3].Known {
		width = int(s[3].Value)
	}
	return height, width, !s[2].Known || !s[3].Known
}

// Batch returns the number of pictures the network takes at once; dynamic
// where it may vary, and then size is 0.
func (n *Network) Batch() (size int, dynamic bool) {
	if d := n.input.Shape[0]; d.Known {
		return int(d.Value), false
	}
	return 0, true
}

// Marshal encodes the network as it now is, as one ONNX file with every weight
// inside.
func (n *Network) Marshal() ([]byte, error) {
	b, err := n.model.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	return b, nil
}

// WriteTo writes what Marshal returns without a copy of the weights in between.
func (n *Network) WriteTo(w io.Writer) (int64, error) {
	written, err := n.model.WriteTo(w)
	if err != nil {
		return written, fmt.Errorf("%s: %w", n.name, err)
	}
	return written, nil
}
