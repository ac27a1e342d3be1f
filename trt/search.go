package trt

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/internal/sharedlib"
)

// EnvLibrary names files or folders that hold TensorRT, separated as in PATH.
const EnvLibrary = "TRTDET_TENSORRT"

// Source tells where a library was found.
type Source string

// The sources, in the order in which they are searched. When the flag or the
// environment names a place, the others are not searched.
const (
	FromFlag   Source = "flag"
	FromEnv    Source = "env"    // EnvLibrary
	FromBinary Source = "binary" // next to this program
	FromDeps   Source = "deps"   // build/deps of the checkout
	FromLoader Source = "loader" // the dynamic loader's path
	FromPython Source = "python" // a Python's site-packages
)

// Found is a TensorRT that was found, usable when Err is nil.
type Found struct {
	Flavor     Flavor // empty where it cannot be told
	Path       string // of TensorRT itself
	ParserPath string // of its ONNX parser
	Version    string // "10.15.1.29", read off the file
	Source     Source
	Err        error // why it was passed over, nil otherwise
}

// name returns "TensorRT 10.15.1.29" or "TensorRT-RTX 1.7.1.116".
func (f Found) name() string {
	if f.Flavor == RTX {
		return f.Flavor.Title() + " " + f.Version
	}
	return "TensorRT " + f.Version
}

// Search returns every TensorRT there is, in the order in which Load tries
// them, each with its version or why it was passed over. Nothing is loaded.
// explicit is a file or folder to search instead, empty for none.
func Search(explicit string) []Found {
	if places, source := given(explicit); places != nil {
		return searchGiven(places, source)
	}
	return slices.Collect(search(lines))
}

// given returns the places that somebody named to search instead of the usual
// ones, nil for none.
func given(explicit string) ([]string, Source) {
	if explicit != "" {
		return []string{explicit}, FromFlag
	}
	if env := os.Getenv(EnvLibrary); env != "" {
		return filepath.SplitList(env), FromEnv
	}
	return nil, ""
}

// LoaderPath returns LD_LIBRARY_PATH for a process that builds with what Load
// finds, "" where that needs none. TensorRT asks the loader for what it builds
// with, libnvinfer_builder_resource, by name alone, and the loader reads the
// variable only as a process starts.
func LoaderPath(f Flavor, explicit string) string {
	for found := range candidates(f, explicit) {
		switch {
		case found.Err != nil:
			continue
		case found.Source == FromLoader:
			return ""
		}
		folders := besides(found.Path)
		if before := os.Getenv("LD_LIBRARY_PATH"); before != "" {
			folders = append(folders, before)
		}
		return strings.Join(folders, string(filepath.ListSeparator))
	}
	return ""
}

// search yields the libraries of some flavors in the usual places. Those
// further away are looked at only once the nearer ones have been turned down.
func search(wanted []line) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		for place := range sharedlib.Find(query("", wanted)) {
			if !yield(inspect(place.Path, Source(place.Source))) {
				return
			}
		}
	}
}

func query(given string, wanted []line) sharedlib.Query {
	q := sharedlib.Query{Given: given, Deps: []string{"tensorrt/lib"}, Python: []string{"tensorrt_rtx_libs", "tensorrt_libs"}}
	for _, l := range wanted {
		q.Patterns = append(q.Patterns, l.library, l.library+".*")
	}
	return q
}

// searchGiven looks at places that somebody named: every one of them answers,
// if only with what is wrong with it.
func searchGiven(places []string, source Source) []Found {
	var found []Found
	for _, given := range places {
		if given == "" {
			continue
		}
		info, err := os.Stat(given)
		if err != nil {
			found = append(found, Found{Path: given, Source: source, Err: reason(err)})
			continue
		}
		if !info.IsDir() {
			found = append(found, inspect(given, source))
			continue
		}
		before := len(found)
		for place := range sharedlib.Find(query(given, lines)) {
			found = append(found, inspect(place.Path, source))
		}
		if len(found) == before {
			found = append(found, Found{Path: given, Source: source, Err: errors.New("no TensorRT in this folder")})
		}
	}
	return found
}

// inspect says what a file is.
func inspect(path string, source Source) Found {
	found := Found{Path: path, Source: source}
	version, major, entries, err := readVersion(path)
	if err != nil {
		found.Err = reason(err)
		return found
	}
	found.Version = version
	index := slices.IndexFunc(lines, func(l line) bool { return l.major == major })
	if index < 0 {
		found.Err = fmt.Errorf("TensorRT %s: this program knows TensorRT-RTX 1, TensorRT 10 and 11", version)
		return found
	}
	l := lines[index]
	found.Flavor = l.flavor
	if entries {
		found.ParserPath = path
		return found
	}
	found.ParserPath, found.Err = l.findParser(path)
	return found
}

// findParser looks for the ONNX parser beside the library, then beside the file
// that the library is a link to.
func (l line) findParser(path string) (string, error) {
	for _, folder := range besides(path) {
		for _, pattern := range []string{l.parser, l.parser + ".*"} {
			matches, _ := filepath.Glob(filepath.Join(folder, pattern)) // only a bad pattern is an error
			if len(matches) > 0 {
				return matches[0], nil
			}
		}
	}
	return "", fmt.Errorf("its ONNX parser %s is not beside it", l.parser)
}

// besides returns the folder of a library, and that of the file which it is a link
// to where that is another.
func besides(path string) []string {
	folders := []string{filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != folders[0] {
		folders = append(folders, filepath.Dir(real))
	}
	return folders
}

// reason is an error about a file that is named beside it anyway.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
