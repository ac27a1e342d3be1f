package eval

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// maxLabelBytes is the largest label file that is read: 100,000 objects fit.
const maxLabelBytes = 16 << 20

// LoadYOLO reads a split ("train", "val" or "test") of the dataset that a
// YOLOv5 data.yaml names: folders of pictures, or lists of them, each picture's
// labels in a file that has labels for images in its path and .txt at its end.
// classes is how many classes a label may have. Paths are relative to the
// file's own folder. Objects are relative to the size of their picture until
// Picture.SetSize.
func LoadYOLO(dataFile, split string, classes int) (*Dataset, error) {
	data, err := model.ReadDataFile(dataFile)
	if err != nil {
		return nil, err
	}
	if len(data.Splits[split]) == 0 {
		return nil, fmt.Errorf("%s: %w: it names no pictures for the split %q; it has %s", dataFile, ErrDataset, split, splitNames(data))
	}
	root := filepath.Join(filepath.Dir(dataFile), data.Root)
	if filepath.IsAbs(data.Root) {
		root = data.Root
	}
	d := &Dataset{Names: data.Names}
	var paths []string
	for _, entry := range data.Splits[split] {
		found, err := pictures(resolve(root, entry), root)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dataFile, err)
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w: no pictures in %s; known are %s", dataFile, ErrDataset,
			strings.Join(data.Splits[split], ", "), strings.Join(imaging.Extensions, " "))
	}
	for _, path := range paths {
		objects, err := d.readLabels(path, classes)
		if err != nil {
			return nil, err
		}
		d.Pictures = append(d.Pictures, Picture{Path: path, ID: StemID(path), Objects: objects, relative: true})
	}
	return d, d.findStray()
}

func splitNames(d *model.DataFile) string {
	var names []string
	for name := range d.Splits {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// resolve finds an entry of a split. As in YOLOv5 (utils/general.py,
// check_dataset), ../ at its front is passed over where that leads nowhere:
// Roboflow writes ../valid/images for the folder valid beside data.yaml.
func resolve(root, entry string) string {
	if filepath.IsAbs(entry) {
		return entry
	}
	path := filepath.Join(root, entry)
	if inside, ok := strings.CutPrefix(entry, "../"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(filepath.Join(root, inside)); err == nil {
				return filepath.Join(root, inside)
			}
		}
	}
	return path
}

// pictures lists the pictures under a folder, or those that a list names, one
// path a line, ./ meaning the list's own folder, other relative ones root.
func pictures(entry, root string) ([]string, error) {
	info, err := os.Stat(entry)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return picturesUnder(entry, nil)
	}
	if !info.Mode().IsRegular() || imaging.IsPicture(entry) {
		return nil, fmt.Errorf("%s: %w: want a folder of pictures or a list of them, one path a line", entry, ErrDataset)
	}
	b, err := readAtMost(entry, maxLabelBytes)
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(b)) {
		path := strings.TrimSpace(line)
		switch {
		case !imaging.IsPicture(path):
			continue
		case strings.HasPrefix(path, "./"):
			path = filepath.Join(filepath.Dir(entry), path)
		case !filepath.IsAbs(path):
			path = filepath.Join(root, path)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// picturesUnder lists the pictures in a folder and its folders, links to
// folders included, as YOLOv5 does. above are the folders that it is in, so that
// a link to one of them ends.
func picturesUnder(folder string, above []fs.FileInfo) ([]string, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		return nil, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	above = append(above, info)
	var paths []string
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if isFolder(path, e) {
			found, err := picturesUnder(path, above)
			if err != nil {
				return nil, err
			}
			paths = append(paths, found...)
		} else if imaging.IsPicture(path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func isFolder(path string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readAtMost reads a regular file of at most limit bytes.
func readAtMost(path string, limit int64) ([]byte, error) {
	// not blocking: a named pipe that nobody writes to is opened all the same, and refused
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a regular file", path, ErrDataset)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: it is larger than %d MiB", ErrDataset, limit>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return bytes.TrimPrefix(b, []byte(byteOrderMark)), nil
}

// byteOrderMark begins what some editors on Windows save.
const byteOrderMark = "\xef\xbb\xbf"

// labelPath is where the labels of a picture lie: YOLOv5 changes the last
// folder called images into labels.
func labelPath(picture string) string {
	stem := strings.TrimSuffix(picture, filepath.Ext(picture))
	const images, labels = string(filepath.Separator) + "images" + string(filepath.Separator), string(filepath.Separator) + "labels" + string(filepath.Separator)
	if i := strings.LastIndex(stem, images); i >= 0 {
		stem = stem[:i] + labels + stem[i+len(images):]
	} else if rest, ok := strings.CutPrefix(stem, images[1:]); ok {
		stem = labels[1:] + rest
	}
	return stem + ".txt"
}

// readLabels reads the labels of a picture: a line "class x y w h" for each object,
// center and sides from 0 to 1, or "class x1 y1 x2 y2 x3 y3 ...", the corners of
// a polygon, whose box counts.
func (d *Dataset) readLabels(picture string, classes int) ([]Object, error) {
	path := labelPath(picture)
	b, err := readAtMost(path, maxLabelBytes)
	if errors.Is(err, fs.ErrNotExist) {
		// where the picture is not there either, that is what is wrong, and said when it is read
		if _, err := os.Stat(picture); err == nil {
			d.Problems.Add(Problem{Kind: NoLabels, File: path})
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLabels(b, path, classes, &d.Problems), nil
}

// parseLabels reads the text of a label file, and adds what is wrong with it.
func parseLabels(b []byte, file string, classes int, problems *Problems) (objects []Object) {
	scanner := bufio.NewScanner(bytes.NewReader(b))
	scanner.Buffer(nil, maxLabelBytes+1)
	seen := map[Object]bool{}
	for line := 1; scanner.Scan(); line++ {
		fields := strings.Fields(scanner.Text())
		if len(fields) == 0 {
			continue
		}
		o, kind, text := parseLabel(fields, classes)
		if (kind == "" || kind == EmptyBox) && seen[o] {
			kind = Duplicate
		}
		if kind != "" {
			problems.Add(Problem{Kind: kind, File: file, Line: line, Text: short(text)})
		}
		if kind == "" || kind == EmptyBox {
			seen[o] = true
			objects = append(objects, o)
		}
	}
	return objects
}

// short cuts a text that stands in a message: a line of a label file can have
// millions of numbers.
func short(text string) string {
	const most = 120
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func parseLabel(fields []string, classes int) (o Object, kind ProblemKind, text string) {
	numbers := make([]float64, len(fields))
	for i, f := range fields {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return o, BadLine, fmt.Sprintf("%q is no number", f)
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return o, NotANumber, f
		}
		numbers[i] = v
	}
	class, corners := numbers[0], numbers[1:]
	polygon := len(corners) >= 6 && len(corners)%2 == 0
	if len(corners) != 4 && !polygon {
		return o, BadLine, fmt.Sprintf("it has %d numbers, want class x y w h or a polygon of three corners or more", len(fields))
	}
	if class != math.Trunc(class) {
		return o, BadLine, fmt.Sprintf("the class is %s", fields[0])
	}
	if class < 0 || class >= float64(classes) {
		return o, ClassRange, fmt.Sprintf("class %s, there are 0 to %d", fields[0], classes-1)
	}
	for i, v := range corners {
		if v < 0 || v > 1 {
			return o, OutsideBox, fields[1+i]
		}
	}
	o.Class = int(class)
	if !polygon {
		x, y, w, h := corners[0], corners[1], corners[2], corners[3]
		o.Box = [4]float64{x - w/2, y - h/2, w, h}
	} else {
		low, high := [2]float64{1, 1}, [2]float64{}
		for i, v := range corners {
			low[i%2], high[i%2] = min(low[i%2], v), max(high[i%2], v)
		}
		o.Box = [4]float64{low[0], low[1], high[0] - low[0], high[1] - low[1]}
	}
	if !(o.Box[2] > 0 && o.Box[3] > 0) {
		return o, EmptyBox, strings.Join(fields, " ")
	}
	return o, "", ""
}

// findStray looks, in the folders of labels, for those that belong to no
// picture of any split. Where labels lie among the pictures, other texts do too,
// and nothing is said.
func (d *Dataset) findStray() error {
	folders := map[string]bool{}
	for _, p := range d.Pictures {
		folders[filepath.Dir(p.Path)] = true
	}
	known := map[string]bool{}        // label files of pictures
	labelFolders := map[string]bool{} // apart from pictures
	for folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // its pictures cannot be read, which will be said
			return err
		}
		for _, e := range entries {
			if labels := labelPath(filepath.Join(folder, e.Name())); imaging.IsPicture(e.Name()) {
				known[labels] = true
				labelFolders[filepath.Dir(labels)] = filepath.Dir(labels) != folder
			}
		}
	}
	var stray []string
	for folder, apart := range labelFolders {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if path := filepath.Join(folder, e.Name()); apart && filepath.Ext(path) == ".txt" && !known[path] && !isClassList(path) {
				stray = append(stray, path)
			}
		}
	}
	slices.Sort(stray)
	for _, path := range stray {
		d.Problems.Add(Problem{Kind: NoPicture, File: path})
	}
	return nil
}

// isClassList tells labelImg's classes.txt, which it leaves among the labels,
// from the labels of a lost picture.
func isClassList(path string) bool {
	if filepath.Base(path) != "classes.txt" {
		return false
	}
	b, err := readAtMost(path, maxLabelBytes)
	return err == nil && len(parseLabels(b, path, math.MaxInt32, &Problems{})) == 0
}
