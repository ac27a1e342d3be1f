package eval

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// instances is what is read of COCO's instances.json.
type instances struct {
	Images      []cocoImage      `json:"images"`
	Annotations []cocoAnnotation `json:"annotations"`
	Categories  []cocoCategory   `json:"categories"`
}

type cocoImage struct {
	ID       *int64 `json:"id"`
	FileName string `json:"file_name"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

type cocoAnnotation struct {
	ID         int64     `json:"id"`
	ImageID    int64     `json:"image_id"`
	CategoryID int       `json:"category_id"`
	BBox       []float64 `json:"bbox"` // x, y, width, height
	Area       *float64  `json:"area"`
	IsCrowd    int       `json:"iscrowd"`
}

type cocoCategory struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// LoadCOCO reads COCO annotations of the pictures in a folder. names are the
// model's classes: where all of the file's categories are among them, or all of
// them among the file's categories, each category is the class of its name and
// categories without one are left out, otherwise class i is the i-th category
// by id, and one that is called otherwise a problem. Pictures are in the order
// of their ids.
func LoadCOCO(folder, annotations string, names []string) (*Dataset, error) {
	if info, err := os.Stat(folder); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w: it is not a folder", folder, ErrDataset)
	}
	var file instances
	if err := readJSON(annotations, &file); err != nil {
		return nil, err
	}
	if len(file.Images) == 0 || len(file.Categories) == 0 {
		return nil, fmt.Errorf("%s: %w: it lists %d images and %d categories; COCO's instances.json has both", annotations, ErrDataset,
			len(file.Images), len(file.Categories))
	}
	d := &Dataset{}
	classes, err := d.takeCategories(file.Categories, names, annotations)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", annotations, err)
	}
	places, err := d.takeImages(file.Images, folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", annotations, err)
	}
	for _, a := range file.Annotations {
		p, kind, text := d.takeAnnotation(a, places, classes)
		if kind != "" {
			d.Problems = append(d.Problems, Problem{Kind: kind, File: fmt.Sprintf("%s, annotation %d", annotations, a.ID), Text: text})
		}
		if p != nil {
			p.Objects = append(p.Objects, newObject(a, classes))
		}
	}
	return d, nil
}

// takeCategories sets the classes and returns the class of each category id,
// noClass for those that the model has none for.
func (d *Dataset) takeCategories(categories []cocoCategory, names []string, file string) (map[int]int, error) {
	slices.SortStableFunc(categories, func(a, b cocoCategory) int { return cmp.Compare(a.ID, b.ID) })
	classes, ids := map[int]int{}, map[string]int{}
	for i, c := range categories {
		if _, twice := classes[c.ID]; twice {
			return nil, fmt.Errorf("%w: two categories have the id %d", ErrDataset, c.ID)
		}
		classes[c.ID], ids[c.Name] = i, c.ID
	}
	d.Categories = map[int]int{}
	if !namesDecide(categories, ids, names) {
		for i, c := range categories {
			d.Names, d.Categories[i] = append(d.Names, c.Name), c.ID
			if i < len(names) && c.Name != "" && names[i] != c.Name {
				d.Problems = append(d.Problems, Problem{Kind: OtherName, File: file,
					Text: fmt.Sprintf("category %d, %q, is taken for the model's class %d, %q", c.ID, c.Name, i, names[i])})
			}
		}
		return classes, nil
	}
	d.Names = names
	for _, c := range categories {
		if ids[c.Name] != c.ID {
			return nil, fmt.Errorf("%w: two categories have the name %q", ErrDataset, c.Name)
		}
		class := slices.Index(names, c.Name) // noClass where it is none
		if classes[c.ID] = class; class != noClass {
			d.Categories[class] = c.ID
		}
	}
	return classes, nil
}

const noClass = -1 // slices.Index's

// namesDecide reports whether the names of the model and the file are the same,
// or one's all among the other's. ids are the categories' by name.
func namesDecide(categories []cocoCategory, ids map[string]int, names []string) bool {
	unknown := 0 // to the model
	for _, c := range categories {
		if !slices.Contains(names, c.Name) {
			unknown++
		}
	}
	absent := 0 // from the file
	for _, name := range names {
		if _, known := ids[name]; !known {
			absent++
		}
	}
	return len(names) > 0 && (unknown == 0 || absent == 0)
}

// takeImages sets the pictures and returns where each image id is among them.
func (d *Dataset) takeImages(images []cocoImage, folder string) (map[int64]int, error) {
	for i, image := range images {
		if image.ID == nil || image.FileName == "" {
			return nil, fmt.Errorf("%w: image %d has no id or no file_name", ErrDataset, i)
		}
	}
	slices.SortStableFunc(images, func(a, b cocoImage) int { return cmp.Compare(*a.ID, *b.ID) })
	places := make(map[int64]int, len(images))
	for i, image := range images {
		if _, twice := places[*image.ID]; twice {
			return nil, fmt.Errorf("%w: two images have the id %d", ErrDataset, *image.ID)
		}
		places[*image.ID] = i
		d.Pictures = append(d.Pictures, Picture{
			Path: filepath.Join(folder, filepath.FromSlash(image.FileName)), ID: *image.ID, Width: image.Width, Height: image.Height,
		})
	}
	return places, nil
}

// takeAnnotation finds an annotation's picture, nil where it has to be left
// out, and what is wrong with it.
func (d *Dataset) takeAnnotation(a cocoAnnotation, places map[int64]int, classes map[int]int) (*Picture, ProblemKind, string) {
	place, known := places[a.ImageID]
	if !known {
		return nil, NoPicture, fmt.Sprintf("there is no image %d", a.ImageID)
	}
	if class, known := classes[a.CategoryID]; !known {
		return nil, ClassRange, fmt.Sprintf("there is no category %d", a.CategoryID)
	} else if class == noClass {
		return nil, ClassRange, fmt.Sprintf("the model has no class of the name of category %d", a.CategoryID)
	}
	if len(a.BBox) != 4 {
		return nil, BadLine, fmt.Sprintf("bbox has %d numbers, want x, y, width, height", len(a.BBox))
	}
	p := &d.Pictures[place]
	x, y, w, h := a.BBox[0], a.BBox[1], a.BBox[2], a.BBox[3]
	if !(w > 0 && h > 0) {
		return p, EmptyBox, fmt.Sprintf("bbox %v", a.BBox)
	}
	const slack = 1 // pixels, which roundings leave
	if p.Width > 0 && (x < -slack || y < -slack || x+w > float64(p.Width)+slack || y+h > float64(p.Height)+slack) {
		return p, OutsideFrame, fmt.Sprintf("bbox %v, the picture is %dx%d", a.BBox, p.Width, p.Height)
	}
	return p, "", ""
}

func newObject(a cocoAnnotation, classes map[int]int) Object {
	o := Object{Class: classes[a.CategoryID], Box: [4]float64(a.BBox), Crowd: a.IsCrowd != 0}
	if o.Area = o.Box[2] * o.Box[3]; a.Area != nil {
		o.Area = *a.Area
	}
	return o
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.NewDecoder(f).Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return fmt.Errorf("%s: %w: %w", path, ErrDataset, err)
	}
	return nil
}
