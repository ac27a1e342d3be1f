package eval

import (
	"errors"
	"fmt"
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
