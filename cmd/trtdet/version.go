package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/trtdet/trtdet/trt"
)

// Set by the linker, see the Makefile.
var (
	version = "0.1.0-dev"
	commit  = "unknown"
)

func printVersion(w io.Writer) {
	fmt.Fprintf(w, "trtdet %s (commit %s)\n", version, commit)
	fmt.Fprintf(w, "built with %s for %s/%s; TensorRT headers", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for i, f := range trt.Flavors() {
		separator := ","
		if i == 0 {
			separator = ""
		}
		fmt.Fprintf(w, "%s %s (%s)", separator, f.HeaderVersion(), f)
	}
	fmt.Fprintln(w)
}
