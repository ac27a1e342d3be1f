package model

import (
	"fmt"
	"strings"

	"github.com/trtdet/trtdet/decode"
)

// said is everything that is known about a head without looking at its convs:
// the hints, the files they name, and the model's metadata. Zero is unsaid.
type said struct {
	kind       decode.Kind
	kindSet    bool
	kindSource string // flag or key, as the others below
	layout     decode.Layout
	family     decode.Family

	anchors       [][][2]float32 // ascending by size
	anchorsSource string         // flag or key, for messages
	classes       int
	classesSource string
	names         []string
	namesSource   string
	namesFrom1    []string // the metadata's, of ids from 1, where there are no names
	remarks       []string // what of the metadata was not taken as it stands
}

// metaHead is the source of a kind that the file's metadata names.
const metaHead = "metadata head"

// parseHead reads a kind, a layout and a family, separated by commas. yolox is
// both a kind and a family. source names the flag or key in the error.
func (s *said) parseHead(text, source string) error {
	for _, word := range strings.Split(text, ",") {
		word = strings.TrimSpace(word)
		switch k, l := decode.Kind(word), decode.Layout(word); {
		case word == "":
		case k == decode.Coupled || k == decode.DecoupledBase || k == decode.Decoupled || k == decode.KindYOLOX:
			if s.kindSet {
				return fmt.Errorf("%w: %s %.80q names two kinds", ErrHint, source, text)
			}
			s.kind, s.kindSet, s.kindSource = k, true, source
		case word == string(decode.YOLOv5) || word == string(decode.YOLOv8):
			if s.family != "" {
				return fmt.Errorf("%w: %s %.80q names two families", ErrHint, source, text)
			}
			s.family = decode.Family(word)
		case l == decode.Fused || l == decode.Split || l == decode.FiveD || l == decode.Rows || l == decode.RowsGrid || l == decode.Columns || l == decode.End2End:
			if s.layout != "" {
				return fmt.Errorf("%w: %s %.80q names two layouts", ErrHint, source, text)
			}
			s.layout = l
		default:
			return fmt.Errorf("%w: %s has %.80q, which is no kind (coupled, decoupled-base, decoupled, yolox), layout (fused, split, 5d, rows, rows-grid, columns, end2end) or family (yolov5, yolov8)", ErrHint, source, word)
		}
	}
	return nil
}

// gather collects the hints and, where they are silent, the metadata.
func gather(h *Hints, meta func(string) (string, bool)) (*said, error) {
	s := &said{}
	if h == nil {
		h = &Hints{}
	}
	if err := s.parseHead(h.Head, "--head"); err != nil {
		return nil, err
	}
	switch f := decode.Family(h.Family); f {
	case "":
	case decode.YOLOv5, decode.YOLOX, decode.YOLOv8:
		if s.family != "" && s.family != f {
			return nil, fmt.Errorf("%w: --head names family %s, Family is %s", ErrHint, s.family, f)
		}
		s.family = f
	default:
		return nil, fmt.Errorf("%w: family %.80q is none of yolov5, yolox, yolov8", ErrHint, h.Family)
	}
	if len(h.Anchors) > 0 {
		if err := checkAnchors(h.Anchors); err != nil {
			return nil, fmt.Errorf("%w: --anchors: %w", ErrHint, err)
		}
		s.anchors, s.anchorsSource = ascending(h.Anchors), "--anchors"
	}
	if h.Classes < 0 || h.Classes > maxClasses {
		return nil, fmt.Errorf("%w: classes is %d", ErrHint, h.Classes)
	}
	s.classes, s.classesSource = h.Classes, "the number of classes given"
	if len(h.Names) > maxClasses {
		return nil, fmt.Errorf("%w: there are %d names", ErrHint, len(h.Names))
	}
	s.names, s.namesSource = h.Names, "the names given"
	if h.Cfg != "" {
		if err := s.readCfg(h.Cfg); err != nil {
			return nil, err
		}
	}
	if h.Data != "" {
		if err := s.readData(h.Data); err != nil {
			return nil, err
		}
	}
	return s, s.readMeta(meta)
}

func checkAnchors(anchors [][][2]float32) error {
	for i, level := range anchors {
		if len(level) == 0 || len(level) != len(anchors[0]) {
			return fmt.Errorf("level %d has %d anchors, level 0 has %d", i, len(level), len(anchors[0]))
		}
		for _, a := range level {
			if !(a[0] > 0 && a[1] > 0) {
				return fmt.Errorf("level %d has anchor %gx%g, want positive sizes", i, a[0], a[1])
			}
		}
	}
	return nil
}

// readCfg takes anchors and nc from YOLOv5's model.yaml.
func (s *said) readCfg(path string) error {
	top, err := readYAML(path)
	if err != nil {
		return fmt.Errorf("--cfg: %w", err)
	}
	if v, ok := top["anchors"]; ok && s.anchors == nil {
		if _, count := intOf(v); count {
			return fmt.Errorf("%w: --cfg %s says how many anchors there are, not their sizes (they were made while training); give the sizes with --anchors", ErrHint, path)
		}
		anchors, err := anchorsOf(v)
		if err == nil {
			err = checkAnchors(anchors)
		}
		if err != nil {
			return fmt.Errorf("%w: --cfg %s: %w", ErrHint, path, err)
		}
		s.anchors, s.anchorsSource = ascending(anchors), "--cfg "+path
	}
	if v, ok := top["nc"]; ok && s.classes == 0 {
		n, ok := intOf(v)
		if !ok || n < 1 || n > maxClasses {
			return fmt.Errorf("%w: --cfg %s: nc is %v", ErrHint, path, v)
		}
		s.classes, s.classesSource = n, "nc of --cfg "+path
	}
	return nil
}

// readData takes the names from YOLOv5's data.yaml.
func (s *said) readData(path string) error {
	d, err := ReadDataFile(path)
	if err != nil {
		return fmt.Errorf("--data %w", err)
	}
	if d.Names == nil {
		return fmt.Errorf("%w: --data %s has no names; write the classes into it in their order, as in names: [cat, dog]", ErrHint, path)
	}
	if len(s.names) == 0 {
		s.names, s.namesSource = d.Names, "--data "+path
	}
	return nil
}

// readMeta takes what YOLOv5's and Ultralytics' exports write into the file,
// and the key "head", which reads like --head. Metadata is a file's free text:
// what cannot be used is dropped with a remark.
func (s *said) readMeta(meta func(string) (string, bool)) error {
	if text, ok := meta("head"); ok {
		m := &said{}
		if m.parseHead(text, metaHead) == nil {
			if !s.kindSet {
				s.kind, s.kindSet, s.kindSource = m.kind, m.kindSet, metaHead
			}
			if s.layout == "" {
				s.layout = m.layout
			}
			if s.family == "" {
				s.family = m.family
			}
		} else {
			s.remark("%s is dropped: %.80q is no head that trtdet knows", metaHead, text)
		}
	}
	if text, ok := meta("names"); ok && len(s.names) == 0 {
		names, first, remark := metaNames(text)
		switch {
		case first == 1:
			s.namesFrom1 = names
		case len(names) > 0:
			s.names, s.namesSource = names, "metadata names"
		}
		if remark != "" {
			s.remark("%s", remark)
		}
	}
	if text, ok := meta("anchors"); ok && s.anchors == nil {
		v, err := parseLiteral(text)
		if v == nil && err == nil {
			return nil // None, as a head without anchors may have it
		}
		var anchors [][][2]float32
		if err == nil {
			anchors, err = anchorsOf(v)
		}
		if err == nil {
			err = checkAnchors(anchors)
		}
		if err != nil {
			s.remark("metadata anchors is dropped: %v", err)
			return nil
		}
		s.anchors, s.anchorsSource = ascending(anchors), "metadata anchors"
	}
	return nil
}

// remark keeps a line for the user; what a file says in it is cut short.
func (s *said) remark(format string, args ...any) {
	s.remarks = append(s.remarks, fmt.Sprintf("%.300s", fmt.Sprintf(format, args...)))
}
