package eval

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrDataset is wrapped by errors about a dataset as a whole: a file that is
// not what it should be, a split that is not there.
var ErrDataset = errors.New("invalid dataset")

// Dataset is pictures and the objects in them.
type Dataset struct {
	// Names of the classes, by class index; empty where the dataset has none.
	Names []string
	// Categories are the ids that COCO files use, by class index; nil where they
	// are the class indices.
	Categories map[int]int
	// Pictures in the order in which ties are broken: COCO's by id, others by path.
	Pictures []Picture
	// Problems found in the files. What they concern is left out of Pictures
	// unless their kind says otherwise.
	Problems Problems
}

// Picture is one picture of a dataset.
type Picture struct {
	Path string
	// ID is what COCO files call it: the file's image id, or the stem of the
	// picture's name, an int64 where that is a number.
	ID any
	// Width and Height in pixels; 0 where only the picture itself tells.
	Width, Height int
	Objects       []Object

	relative bool // Objects are in the picture's widths and heights, as YOLO has them
}

// Object is one labelled object.
type Object struct {
	Class int
	// Box is x, y, width, height in pixels of the picture, or, where YOLO labels
	// say it, in its widths and heights until Picture.SetSize.
	Box [4]float64
	// Area in pixels, by which COCO tells small, medium and large objects: the
	// mask's, where there is one.
	Area float64
	// Crowd marks a region of many objects (COCO's iscrowd): it is not counted
	// and detections in it are not held against the model.
	Crowd bool
}

// SetSize takes the size of the picture, in pixels as it is shown, and turns
// objects that were relative to it into pixels. It reports a problem where the
// dataset says another size.
func (p *Picture) SetSize(width, height int) *Problem {
	if p.Width != 0 || p.Height != 0 {
		if p.Width != width || p.Height != height {
			return &Problem{Kind: WrongSize, File: p.Path,
				Text: fmt.Sprintf("the picture is %dx%d, the annotations say %dx%d", width, height, p.Width, p.Height)}
		}
		return nil
	}
	p.Width, p.Height = width, height
	if !p.relative { // COCO's annotations without the pictures' sizes
		return nil
	}
	p.relative = false
	for i := range p.Objects {
		o := &p.Objects[i]
		o.Box[0], o.Box[2] = o.Box[0]*float64(width), o.Box[2]*float64(width)
		o.Box[1], o.Box[3] = o.Box[1]*float64(height), o.Box[3]*float64(height)
		o.Area = o.Box[2] * o.Box[3]
	}
	return nil
}

// counted are the objects that are not crowds.
func (p *Picture) counted() []Object {
	var objects []Object
	for _, o := range p.Objects {
		if !o.Crowd {
			objects = append(objects, o)
		}
	}
	return objects
}

// Category returns the id that COCO files use for a class, false where the
// annotations have none for it.
func (d *Dataset) Category(class int) (id int, known bool) {
	if d.Categories == nil {
		return class, true
	}
	id, known = d.Categories[class]
	return id, known
}

// ProblemKind says what is wrong with a label or picture and what became of it.
type ProblemKind string

// The kinds of problems.
const (
	BadLine       ProblemKind = "bad line"                // not a label: left out
	ClassRange    ProblemKind = "class out of range"      // left out
	OutsideBox    ProblemKind = "box outside 0..1"        // left out
	NotANumber    ProblemKind = "not a finite number"     // left out
	Duplicate     ProblemKind = "duplicate label"         // left out, the first one stays
	NoPicture     ProblemKind = "label without picture"   // left out
	UnreadPicture ProblemKind = "unreadable picture"      // left out, with its labels
	NoLabels      ProblemKind = "picture without label"   // kept, as one with nothing in it
	EmptyBox      ProblemKind = "box without area"        // kept, as YOLOv5 and pycocotools do: it is never found
	OutsideFrame  ProblemKind = "box outside the picture" // kept, as pycocotools does
	WrongSize     ProblemKind = "picture of another size" // kept
	OtherName     ProblemKind = "class of another name"   // kept: a category is a class by its place
)

// Problem is one thing that is wrong with a dataset.
type Problem struct {
	Kind ProblemKind `json:"kind"`
	File string      `json:"file"`
	Line int         `json:"line,omitempty"` // from 1
	Text string      `json:"text,omitempty"`
}

// Error is the problem on one line.
func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s, line %d", p.File, p.Line)
	}
	text := where + ": " + string(p.Kind)
	if p.Text != "" {
		text += ": " + p.Text
	}
	return text
}

// Problems of a dataset.
type Problems []Problem

// Counts returns how many problems there are of each kind, kinds by name. It is
// never nil, so that JSON has a list.
func (p Problems) Counts() []ProblemCount {
	counts := []ProblemCount{}
	for _, problem := range p {
		i, found := slices.BinarySearchFunc(counts, problem.Kind, func(c ProblemCount, k ProblemKind) int { return cmp.Compare(c.Kind, k) })
		if !found {
			counts = slices.Insert(counts, i, ProblemCount{Kind: problem.Kind, First: problem})
		}
		counts[i].Count++
	}
	return counts
}

// ProblemCount is how often a kind of problem was met.
type ProblemCount struct {
	Kind  ProblemKind `json:"kind"`
	Count int         `json:"count"`
	First Problem     `json:"first"`
}
