package trt

import (
	"debug/elf"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

// versionSymbol starts the symbol by which every TensorRT library tells its
// version to who only looks: tensorrt_version_10_15_1_29.
const versionSymbol = "tensorrt_version_"

// readVersion returns the version of a TensorRT library without loading it:
// nothing of a file that was merely found is run. Its errors are reasons, for
// Found.Err.
func readVersion(path string) (version string, major int, err error) {
	file, err := elf.Open(path)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) {
			return "", 0, errors.New("not a shared library")
		}
		return "", 0, err
	}
	defer file.Close() // read only
	if want := machine(); file.Machine != want {
		return "", 0, fmt.Errorf("built for %v, not for %v", file.Machine, want)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return "", 0, errors.New("not a shared library")
	}
	for _, s := range symbols {
		numbers, ok := strings.CutPrefix(s.Name, versionSymbol)
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(numbers, "_")
		if major, err = strconv.Atoi(first); err == nil {
			return strings.ReplaceAll(numbers, "_", "."), major, nil
		}
	}
	return "", 0, errors.New("not a TensorRT library")
}

func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}
