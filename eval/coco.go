package eval

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// instances is what is read of COCO's instances.json.
type instances struct {
	Images      []cocoImage      `json:"images"`
	Annotations []cocoAnnotation `json:"annotations"`
	Categories  []cocoCategory   `json:"categories"`
}

type cocoImage struct {
	ID       *cocoID    `json:"id"`
	FileName string     `json:"file_name"`
	Width    cocoNumber `json:"width"`
	Height   cocoNumber `json:"height"`
}

type cocoAnnotation struct {
	ID         cocoID       `json:"id"`
	ImageID    cocoID       `json:"image_id"`
	CategoryID cocoInt      `json:"category_id"`
	BBox       []cocoNumber `json:"bbox"` // x, y, width, height
	Area       cocoNumber   `json:"area"` // unsaid where it has none
	IsCrowd    cocoInt      `json:"iscrowd"`

	odd string // what is wrong with its JSON
}

// unsaid is a number that no JSON has.
const unsaid = cocoNumber(-math.MaxFloat64)

// UnmarshalJSON keeps what is wrong with one annotation to it.
func (a *cocoAnnotation) UnmarshalJSON(b []byte) error {
	type plain cocoAnnotation
	a.Area = unsaid
	if err := json.Unmarshal(b, (*plain)(a)); err != nil {
		a.odd = oddJSON(err)
	}
	return nil
}

type cocoCategory struct {
	ID   cocoInt `json:"id"`
	Name string  `json:"name"`
}

// cocoNumber is a number, NaN where the file has null or a number that is none.
type cocoNumber float64

// UnmarshalJSON implements json.Unmarshaler.
func (n *cocoNumber) UnmarshalJSON(b []byte) error {
	if text := string(b); text == noNumber || text == "null" {
		*n = cocoNumber(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// pixels is a side of a picture, 0 where the file does not know it.
func (n cocoNumber) pixels() int {
	if n > 0 {
		return int(n)
	}
	return 0
}

// cocoID is an id, a number or a text.
type cocoID struct {
	number cocoInt
	text   string
	isText bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (id *cocoID) UnmarshalJSON(b []byte) error {
	*id = cocoID{}
	if id.isText = b[0] == '"'; id.isText {
		return json.Unmarshal(b, &id.text)
	}
	return json.Unmarshal(b, &id.number)
}

// MarshalJSON implements json.Marshaler.
func (id cocoID) MarshalJSON() ([]byte, error) { return json.Marshal(id.value()) }

func (id cocoID) value() any {
	if id.isText {
		return id.text
	}
	return int64(id.number)
}

func (id cocoID) String() string { return fmt.Sprint(id.value()) }

func compareIDs(a, b cocoID) int {
	return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.number, b.number))
}

// cocoInt is a whole number, which some tools write as 1.0 or true.
type cocoInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *cocoInt) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	switch {
	case string(b) == "true":
		*n = 1
	case string(b) == "false":
		*n = 0
	case err == nil && v == math.Trunc(v) && math.Abs(v) < 1<<53:
		*n = cocoInt(v)
	default:
		return json.Unmarshal(b, (*int64)(n))
	}
	return nil
}

// oddJSON words an error of the JSON decoder for whoever has the file.
func oddJSON(err error) string {
	var of *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early; get the file again"
	case errors.As(err, &of) && of.Field == "":
		return fmt.Sprintf("it is JSON's %s; COCO's instances.json is an object with images, annotations and categories", of.Value)
	case errors.As(err, &of):
		return fmt.Sprintf("%s is JSON's %s", of.Field, of.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is not JSON at byte %d (%s)", syntax.Offset, syntax)
	}
	return err.Error()
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
			d.Problems.Add(Problem{Kind: kind, File: fmt.Sprintf("%s, annotation %v", annotations, a.ID), Text: text})
		}
		if p != nil {
			p.Objects = append(p.Objects, newObject(a, classes))
		}
	}
	return d, nil
}

// takeCategories sets the classes and returns the class of each category id,
// noClass for those that the model has none for.
func (d *Dataset) takeCategories(categories []cocoCategory, names []string, file string) (map[cocoInt]int, error) {
	slices.SortStableFunc(categories, func(a, b cocoCategory) int { return cmp.Compare(a.ID, b.ID) })
	classes, ids := map[cocoInt]int{}, map[string]cocoInt{}
	for i, c := range categories {
		if _, twice := classes[c.ID]; twice {
			return nil, fmt.Errorf("%w: two categories have the id %d", ErrDataset, c.ID)
		}
		classes[c.ID], ids[c.Name] = i, c.ID
	}
	d.Categories = map[int]int{}
	if !namesDecide(categories, ids, names) {
		for i, c := range categories {
			d.Names, d.Categories[i] = append(d.Names, c.Name), int(c.ID)
			if i < len(names) && c.Name != "" && names[i] != c.Name {
				d.Problems.Add(Problem{Kind: OtherName, File: file,
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
			d.Categories[class] = int(c.ID)
		}
	}
	return classes, nil
}

const noClass = -1 // slices.Index's

// namesDecide reports whether the names of the model and the file are the same,
// or one's all among the other's. ids are the categories' by name.
func namesDecide(categories []cocoCategory, ids map[string]cocoInt, names []string) bool {
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
func (d *Dataset) takeImages(images []cocoImage, folder string) (map[cocoID]int, error) {
	for i, image := range images {
		if image.ID == nil || image.FileName == "" {
			return nil, fmt.Errorf("%w: image %d has no id or no file_name", ErrDataset, i)
		}
	}
	slices.SortStableFunc(images, func(a, b cocoImage) int { return compareIDs(*a.ID, *b.ID) })
	places := make(map[cocoID]int, len(images))
	for i, image := range images {
		if _, twice := places[*image.ID]; twice {
			return nil, fmt.Errorf("%w: two images have the id %v", ErrDataset, image.ID)
		}
		places[*image.ID] = i
		d.Pictures = append(d.Pictures, Picture{
			Path: filepath.Join(folder, filepath.FromSlash(image.FileName)), ID: image.ID.value(),
			Width: image.Width.pixels(), Height: image.Height.pixels(),
		})
	}
	return places, nil
}

// takeAnnotation finds an annotation's picture, nil where it has to be left
// out, and what is wrong with it.
func (d *Dataset) takeAnnotation(a cocoAnnotation, places map[cocoID]int, classes map[cocoInt]int) (*Picture, ProblemKind, string) {
	if a.odd != "" {
		return nil, BadLine, a.odd
	}
	if a.ImageID == (cocoID{isText: true}) {
		return nil, NotANumber, "image_id"
	}
	place, known := places[a.ImageID]
	if !known {
		return nil, NoPicture, fmt.Sprintf("there is no image %v", a.ImageID)
	}
	if class, known := classes[a.CategoryID]; !known {
		return nil, ClassRange, fmt.Sprintf("there is no category %v", a.CategoryID)
	} else if class == noClass {
		return nil, ClassRange, fmt.Sprintf("the model has no class of the name of category %v", a.CategoryID)
	}
	if len(a.BBox) != 4 {
		return nil, BadLine, fmt.Sprintf("bbox has %d numbers, want x, y, width, height", len(a.BBox))
	}
	p := &d.Pictures[place]
	x, y, w, h := float64(a.BBox[0]), float64(a.BBox[1]), float64(a.BBox[2]), float64(a.BBox[3])
	if math.IsNaN(x + y + w + h) {
		return nil, NotANumber, fmt.Sprintf("bbox %v", a.BBox)
	}
	if math.IsNaN(float64(a.Area)) {
		return nil, NotANumber, "area"
	}
	if !(w > 0 && h > 0) {
		return p, EmptyBox, fmt.Sprintf("bbox %v", a.BBox)
	}
	const slack = 1 // pixels, which roundings leave
	if p.Width > 0 && (x < -slack || y < -slack || x+w > float64(p.Width)+slack || y+h > float64(p.Height)+slack) {
		return p, OutsideFrame, fmt.Sprintf("bbox %v, the picture is %dx%d", a.BBox, p.Width, p.Height)
	}
	return p, "", ""
}

func newObject(a cocoAnnotation, classes map[cocoInt]int) Object {
	o := Object{Class: classes[a.CategoryID], Crowd: a.IsCrowd != 0}
	for i, v := range a.BBox {
		o.Box[i] = float64(v)
	}
	if o.Area = o.Box[2] * o.Box[3]; a.Area != unsaid {
		o.Area = float64(a.Area)
	}
	return o
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text := bufio.NewReader(f)
	if mark, _ := text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		text.Discard(len(mark)) //nolint:errcheck // they have been read
	}
	decoder := json.NewDecoder(&bareWordReader{r: text})
	err = decoder.Decode(v)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, ErrDataset, oddJSON(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w: something follows the JSON; get the file again", path, ErrDataset)
	}
	return nil
}
