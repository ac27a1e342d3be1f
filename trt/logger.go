package trt

// #include <stdint.h>
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
)

// LevelInternalError is the level of what TensorRT calls an internal error.
const LevelInternalError = slog.LevelError + 4

// level maps nvinfer1::ILogger::Severity. What TensorRT calls information, such
// as how much memory each step takes, is for who looks into it.
func level(severity int) slog.Level {
	switch severity {
	case 0:
		return LevelInternalError
	case 1:
		return slog.LevelError
	case 2:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// loggerHandle makes of a logger what C is given, which deletes it; 0 of nil.
func loggerHandle(log *slog.Logger) C.uintptr_t {
	if log == nil {
		return 0
	}
	return C.uintptr_t(cgo.NewHandle(log))
}

//export goLogLine
func goLogLine(logger C.uintptr_t, severity C.int, message *C.char) {
	log := cgo.Handle(logger).Value().(*slog.Logger)
	if l := level(int(severity)); log.Enabled(context.Background(), l) {
		log.Log(context.Background(), l, C.GoString(message))
	}
}

//export goReleaseLogger
func goReleaseLogger(logger C.uintptr_t) { cgo.Handle(logger).Delete() }
