package trt

import (
	"debug/elf"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// versionSymbol starts the symbol by which every TensorRT library tells its
// version to who only looks: tensorrt_version_10_15_1_29.
const versionSymbol = "tensorrt_version_"

// entriesSymbol is exported by a library that brings the entries of trtdet.h
// itself: it needs no wrapper, and no parser beside it.
const entriesSymbol = "trtdet_entries"

// readVersion returns the version of a TensorRT library, and whether it brings
// its own entries, without loading it: nothing of a file that was merely found
// is run. Its errors are reasons, for Found.Err.
func readVersion(path string) (version string, major int, entries bool, err error) {
	file, err := elf.Open(path)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) {
			return "", 0, false, errors.New("not a shared library")
		}
		return "", 0, false, err
	}
	defer file.Close() // read only
	if want := machine(); file.Machine != want {
		return "", 0, false, fmt.Errorf("built for %v, not for %v", file.Machine, want)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return "", 0, false, errors.New("not a shared library")
	}
	entries = slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == entriesSymbol })
	for _, s := range symbols {
		numbers, ok := strings.CutPrefix(s.Name, versionSymbol)
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(numbers, "_")
		if major, err = strconv.Atoi(first); err == nil {
			return strings.ReplaceAll(numbers, "_", "."), major, entries, nil
		}
	}
	return "", 0, false, errors.New("not a TensorRT library")
}

func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}
