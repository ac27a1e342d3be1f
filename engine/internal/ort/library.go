package ort

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/internal/sharedlib"
)

// LibraryEnv names the variable that points to ONNX Runtime's shared library,
// or the folder it lies in.
const LibraryEnv = "TRTDET_ONNXRUNTIME"

// ErrNoLibrary is returned when ONNX Runtime is not on this machine.
var ErrNoLibrary = errors.New("trtdet finds no ONNX Runtime (libonnxruntime.so): " +
	"pip install onnxruntime, set " + LibraryEnv + " to the library, " +
	"or build with the flags of trtdet env, which lead to the one that was installed")

// Library is one ONNX Runtime found on this machine. Of several, the first
// that loads is used.
type Library struct {
	Path    string `json:"path"`
	Source  string `json:"source"`
	Version string `json:"version,omitempty"`
	// Reason says why it is not used; empty for the one that is.
	Reason string `json:"reason,omitempty"`
}

var loading struct {
	sync.Mutex
	used  *Library // nil until one has loaded
	tried []Library
}

// Load makes ONNX Runtime ready, once per process, and returns the library
// that is used.
func Load() (Library, error) {
	loading.Lock()
	defer loading.Unlock()
	if loading.used != nil {
		return *loading.used, nil
	}
	silence()
	loading.tried = nil
	for place := range places() {
		l := Library{Path: place.Path, Source: place.Source}
		if place.Err != nil {
			l.Reason = place.Err.Error()
			loading.tried = append(loading.tried, l)
			continue
		}
		onnxruntime.SetSharedLibraryPath(place.Path)
		// what it logs of an error is in the error that its call returns
		if err := onnxruntime.InitializeEnvironment(onnxruntime.WithLogLevelFatal()); err != nil {
			l.Reason = err.Error()
			loading.tried = append(loading.tried, l)
			continue
		}
		l.Version = onnxruntime.GetVersion()
		loading.used = &l
		return l, nil
	}
	if len(loading.tried) == 0 {
		if given := os.Getenv(LibraryEnv); given != "" {
			return Library{}, fmt.Errorf("%s=%s holds no libonnxruntime.so: %w", LibraryEnv, given, ErrNoLibrary)
		}
		return Library{}, ErrNoLibrary
	}
	first := loading.tried[0]
	return Library{}, fmt.Errorf("ONNX Runtime in %s is not used: %s; set %s to one that is to be",
		first.Path, first.Reason, LibraryEnv)
}

// silence turns ONNX Runtime's telemetry off. Where Microsoft's builds have it,
// it starts with the library, leaves a device's id under the home folder and
// sends what is run to Microsoft; only this variable comes early enough.
func silence() {
	if os.Getenv("ORT_DISABLE_TELEMETRY") == "" {
		os.Setenv("ORT_DISABLE_TELEMETRY", "1") //nolint:errcheck // the name and the value are sound
	}
}

// Search returns every ONNX Runtime found on this machine, the one that is
// used first and the others with the reason they are not.
func Search() []Library {
	used, err := Load()
	loading.Lock()
	defer loading.Unlock()
	var all []Library
	if err == nil {
		all = append(all, used)
	}
	all = append(all, loading.tried...)
	for place := range places() {
		known := false
		for _, l := range all {
			known = known || l.Path == place.Path
		}
		if !known {
			l := Library{Path: place.Path, Source: place.Source, Reason: "another was found first"}
			if place.Err != nil {
				l.Reason = place.Err.Error()
			}
			all = append(all, l)
		}
	}
	return all
}

func places() iter.Seq[sharedlib.Place] {
	return sharedlib.Find(sharedlib.Query{
		Given:    os.Getenv(LibraryEnv),
		Patterns: []string{"libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.*"},
		Deps:     []string{"onnxruntime/lib"},
		Python:   []string{"onnxruntime/capi"},
	})
}
