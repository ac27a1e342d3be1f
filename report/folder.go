package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/internal/trust"
	"github.com/trtdet/trtdet/internal/wholefile"
)

// FolderOptions say what a Folder holds; the names are YOLOv5's.
type FolderOptions struct {
	Pictures bool // annotated pictures
	Labels   bool // YOLO label files: class x y w h, centers and sides from 0 to 1
	Conf     bool // a score at the end of each label
	Crops    bool // each object cut out, by class
	Style    imaging.Style
}

// Any reports whether there is anything to write.
func (o FolderOptions) Any() bool { return o.Pictures || o.Labels || o.Crops }

// Folder is where a run leaves its files. Its methods may be called from any
// goroutine.
type Folder struct {
	path    string
	root    *os.Root // of path: whatever others put there, nothing is written outside
	made    bool     // by NewFolder
	options FolderOptions

	mu    sync.Mutex
	crops map[string]bool // those written
}

// NewFolder makes project/name, or with a number behind the name (name2,
// name3, ...) where that exists already; existOK uses it as it is.
func NewFolder(project, name string, existOK bool, o FolderOptions) (*Folder, error) {
	root, path, made, err := makeFolder(project, name, existOK)
	if err != nil {
		return nil, err
	}
	return &Folder{path: path, root: root, made: made, options: o, crops: map[string]bool{}}, nil
}

func makeFolder(project, name string, existOK bool) (root *os.Root, path string, made bool, err error) {
	failed := func(err error) (*os.Root, string, bool, error) {
		return nil, "", false, fmt.Errorf("output folder: %w; --project names another place", err)
	}
	path = filepath.Join(project, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return failed(err)
	}
	for n := 2; ; n++ {
		err := os.Mkdir(path, 0o777) // fails if it exists, so two runs never share one
		made = err == nil
		if made || existOK && isFolder(path) {
			if err := plantedLink(path); err != nil {
				return failed(err)
			}
			root, err := os.OpenRoot(path)
			if err != nil {
				return failed(err)
			}
			return root, path, made, nil
		}
		if !errors.Is(err, fs.ErrExist) || existOK {
			return failed(err)
		}
		path = filepath.Join(project, name+strconv.Itoa(n))
	}
}

// plantedLink reports a link that another user has made.
func plantedLink(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && !trust.Owns(info) {
		return fmt.Errorf("%s: %w", path, errPlanted)
	}
	return err
}

// CheckFolder finds what would keep NewFolder from making a folder, as far as
// that shows without making one.
func CheckFolder(project, name string, existOK bool) error {
	path := filepath.Join(project, name)
	if existOK {
		if err := plantedLink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("output folder: %w; --project names another place", err)
		}
	}
	if _, err := os.Stat(path); err != nil || !existOK {
		path = filepath.Dir(path)
	}
	for {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path):
			path = filepath.Dir(path)
			continue
		case err == nil && !info.IsDir():
			err = syscall.ENOTDIR
		case err == nil:
			err = unix.Access(path, unix.W_OK|unix.X_OK)
		}
		if err := withoutPath(err); err != nil {
			return fmt.Errorf("output folder: %s: %w; --project names another place", path, err)
		}
		return nil
	}
}

// Close takes the folder away again if nothing was saved in it, and reports
// whether it is there.
func (f *Folder) Close() bool {
	f.root.Close() //nolint:errcheck // nothing was written to it
	if f.made {
		return os.Remove(f.path) != nil // a folder with something in it stays
	}
	return true
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Path returns the folder's path.
func (f *Folder) Path() string { return f.path }

// Save writes the files of one picture, named after name, the file name of
// source made unique. The picture is drawn on. A picture is never written over
// its own source.
func (f *Folder) Save(source, name string, p *imaging.Picture, detections []engine.Detection) error {
	err := f.save(source, name, p, detections)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		// the path is that of a temporary file
		return fmt.Errorf("%s: its results cannot be saved in %s: %w; --project names another place", source, f.path, path.Err)
	}
	return err
}

func (f *Folder) save(source, name string, p *imaging.Picture, detections []engine.Detection) error {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	if f.options.Labels {
		if err := f.saveLabels(stem, p, detections); err != nil {
			return err
		}
	}
	if f.options.Crops {
		if err := f.saveCrops(stem, p, detections); err != nil {
			return err
		}
	}
	if f.options.Pictures {
		labels := make([]imaging.Label, len(detections))
		for i, d := range detections {
			labels[i] = imaging.Label{Box: d.Box, Class: d.ClassID, Text: d.Class, Score: d.Score}
		}
		target := filepath.Join(f.path, stem+pictureExtension(name))
		if sameFile(source, target) {
			return fmt.Errorf("%s: the annotated picture would overwrite it: --project or --name takes another folder", source)
		}
		imaging.Annotate(p, labels, f.options.Style)
		return imaging.SaveIn(f.root, filepath.Base(target), p)
	}
	return nil
}

func sameFile(a, b string) bool {
	one, err1 := os.Stat(a)
	other, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// pictureExtension is that of the annotated picture: PNG stays PNG, all others
// become JPEG.
func pictureExtension(name string) string {
	if strings.EqualFold(filepath.Ext(name), ".png") {
		return ".png"
	}
	return ".jpg"
}

// saveLabels writes labels/STEM.txt. A picture without objects has no file, and
// none is left from an earlier run.
func (f *Folder) saveLabels(stem string, p *imaging.Picture, detections []engine.Detection) error {
	file := filepath.Join("labels", stem+".txt")
	if len(detections) == 0 {
		if err := f.root.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := f.makeInside("labels"); err != nil {
		return err
	}
	return wholefile.WriteIn(f.root, file, func(w io.Writer) error {
		width, height := float32(p.Width), float32(p.Height)
		for _, d := range detections {
			b := d.Box
			line := fmt.Sprintf("%d %g %g %g %g", d.ClassID,
				(b.X1+b.X2)/2/width, (b.Y1+b.Y2)/2/height, b.Width()/width, b.Height()/height)
			if f.options.Conf {
				line += fmt.Sprintf(" %g", d.Score)
			}
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeInside makes a folder of folders below f.
func (f *Folder) makeInside(names ...string) error {
	path := ""
	for _, name := range names {
		path = filepath.Join(path, name)
		err := f.root.Mkdir(path, 0o777)
		if errors.Is(err, fs.ErrExist) {
			err = nil
			if info, statErr := f.root.Lstat(path); statErr == nil && !info.IsDir() {
				err = fmt.Errorf("%s: it is no folder: remove it", filepath.Join(f.path, path))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// saveCrops writes crops/CLASS/STEM.jpg, STEM2.jpg, ...
func (f *Folder) saveCrops(stem string, p *imaging.Picture, detections []engine.Detection) error {
	for _, d := range detections {
		class := fileName(d.Class)
		if err := f.makeInside("crops", class); err != nil {
			return err
		}
		name := f.claim(filepath.Join("crops", class, stem))
		if err := imaging.SaveIn(f.root, name, p.Crop(d.Box, 1.02, 10)); err != nil {
			return err
		}
	}
	return nil
}

// claim returns the first of PATH.jpg, PATH2.jpg, ... that this run has not
// written: the second crop of img1 and the first of img12 are not the same.
func (f *Folder) claim(path string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := path + ".jpg"
	for n := 2; f.crops[name]; n++ {
		name = path + strconv.Itoa(n) + ".jpg"
	}
	f.crops[name] = true
	return name
}

// fileName makes a class name safe to be a folder's.
func fileName(class string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, class)
	if strings.Trim(name, ".") == "" {
		return "_"
	}
	return name
}
