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
	"github.com/trtdet/trtdet/internal/trust"
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
	FromLinked Source = "linked" // where this program's linker was told to look
	FromLoader Source = "loader" // the dynamic loader's path
	FromSystem Source = "system" // where installers put it and the loader does not look
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

	named string // the place that was named, where nothing else makes the library's folder believed
}

// Explicit is what makes Load in another process take this library and no other
// of its flavor that lies elsewhere.
func (f Found) Explicit() string {
	if f.named != "" {
		return f.named
	}
	return f.Path
}

// Name returns "TensorRT 10.15.1.29" or "TensorRT-RTX 1.7.1.116".
func (f Found) Name() string {
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
// variable only as a process starts. Every library that the process loads is
// looked for there, so it names no folder that others can write unless the user
// did.
func LoaderPath(f Flavor, explicit string) string {
	for found := range Candidates(f, explicit) {
		switch {
		case found.Err != nil:
			continue
		case found.Source == FromLoader:
			return ""
		}
		folders := slices.DeleteFunc(besides(found.Path), func(folder string) bool {
			named := found.named != "" && folder == filepath.Dir(found.Path)
			return sharedlib.OnLoaderPath(folder) || strings.ContainsAny(folder, loaderSyntax) ||
				!named && trust.Folder(folder) != nil
		})
		if before := os.Getenv("LD_LIBRARY_PATH"); before != "" && len(folders) > 0 {
			folders = append(folders, before)
		}
		return strings.Join(folders, string(filepath.ListSeparator))
	}
	return ""
}

// loaderSyntax is what a folder in LD_LIBRARY_PATH cannot have in its name: the
// loader parts the variable at it, or replaces what follows.
const loaderSyntax = ":;$"

// search yields the libraries of some flavors in the usual places. Those
// further away are looked at only once the nearer ones have been turned down.
func search(wanted []line) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		for place := range sharedlib.Find(query("", wanted)) {
			found := Found{Path: place.Path, Source: Source(place.Source), Err: place.Err}
			switch {
			case place.Err != nil:
			case found.Source == FromLoader:
				found = inspectIn(filepath.Dir(place.Path), place.Path, found.Source)
			default:
				found = inspect(place.Path, found.Source, false)
			}
			if !yield(found) {
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
		given, err := filepath.Abs(given) // a bare name the loader would look for elsewhere
		if err != nil {
			found = append(found, Found{Path: given, Source: source, Err: reason(err)})
			continue
		}
		info, err := os.Stat(given)
		switch {
		case err != nil:
			found = append(found, Found{Path: given, Source: source, Err: reason(err)})
			continue
		case info.Mode().IsRegular():
			found = append(found, inspect(given, source, false))
			continue
		case !info.IsDir():
			found = append(found, Found{Path: given, Source: source, Err: errors.New("not a regular file")})
			continue
		}
		before := len(found)
		for place := range sharedlib.Find(query(given, lines)) {
			found = append(found, inspectIn(given, place.Path, source))
		}
		if len(found) == before {
			found = append(found, Found{Path: given, Source: source, Err: errors.New("no TensorRT in this folder")})
		}
	}
	return found
}

// inspectIn says what a file is in a place that is believed.
func inspectIn(place, path string, source Source) Found {
	found := inspect(path, source, true)
	if found.Err == nil && (inspect(path, source, false).Err != nil || trust.Folder(filepath.Dir(path)) != nil) {
		found.named = place
	}
	return found
}

// inspect says what a file is. Where its folder is not believed, what lies beside
// it may be another user's.
func inspect(path string, source Source, believed bool) Found {
	found := Found{Path: path, Source: source}
	version, major, err := readVersion(path)
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
	found.ParserPath, found.Err = l.findParser(path, version, believed)
	return found
}

// findParser looks for the ONNX parser of the library's release beside the
// library, then beside the file that the library is a link to. One that does not
// say which release it is of will do where no other says that it is the one.
func (l line) findParser(path, version string, believed bool) (string, error) {
	var silent string
	var others, passed []string
	for _, folder := range besides(path) {
		for _, name := range sharedlib.Matching(folder, []string{l.parser, l.parser + ".*"}) {
			parser := filepath.Join(folder, name)
			if !believed {
				if err := untrustedBeside(parser, path); err != nil {
					passed = append(passed, err.Error())
					continue
				}
			}
			switch of := parserVersion(parser, l.parser); {
			case of == "":
				if silent == "" {
					silent = parser
				}
			case sameRelease(of, version):
				return parser, nil
			default:
				others = append(others, fmt.Sprintf("%s is of %s", name, of))
			}
		}
	}
	switch {
	case silent != "":
		return silent, nil
	case len(others) > 0:
		return "", fmt.Errorf("its ONNX parser is not beside it: %s, not of %s",
			strings.Join(others, ", "), release(version))
	case len(passed) > 0:
		return "", fmt.Errorf("its ONNX parser is passed over: %s", passed[0])
	}
	return "", fmt.Errorf("its ONNX parser %s is not beside it", l.parser)
}

// untrustedBeside returns why a file beside a library may be another user's than
// the library is.
func untrustedBeside(path, library string) error {
	id, err := trust.Owner(library)
	if err != nil {
		return err
	}
	return trust.File(path, id)
}

// parserVersion returns the version of an ONNX parser without loading it: as the
// file tells it, or else as the file that it is a link to is called, since NVIDIA's
// parsers do not all tell. It is "" for one that does neither.
func parserVersion(path, name string) string {
	if version, _, err := readVersion(path); err == nil {
		return version
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	base, _, _ := strings.Cut(name, ".so.")
	_, version, ok := strings.Cut(filepath.Base(real), base+".so.")
	if !ok || !strings.Contains(version, ".") || strings.Trim(version, "0123456789.") != "" {
		return "" // libnvonnxparser.so.10 is of any TensorRT 10
	}
	return version
}

// sameRelease reports whether two versions are of one release. NVIDIA's files are
// named with three numbers; the fourth, of the build, is only in their symbols.
func sameRelease(a, b string) bool {
	x, y := strings.Split(release(a), "."), strings.Split(release(b), ".")
	n := min(len(x), len(y))
	return slices.Equal(x[:n], y[:n])
}

// release returns the first three numbers of a version.
func release(version string) string {
	numbers := strings.Split(version, ".")
	return strings.Join(numbers[:min(3, len(numbers))], ".")
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
