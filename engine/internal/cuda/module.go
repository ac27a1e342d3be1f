package cuda

// #include <cuda.h>
//
// // Loads PTX for what the driver writes while it compiles, into size bytes of log.
// static void compile_for_log(const void *ptx, char *log, unsigned int size) {
//   CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
//   void *values[] = {log, (void *)(size_t)size};
//   CUmodule module = NULL;
//   if (cuModuleLoadDataEx(&module, ptx, 2, options, values) == CUDA_SUCCESS) cuModuleUnload(module);
// }
import "C"

import (
	"errors"
	"slices"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/trtdet/trtdet/engine/internal/kernels"
)

// Module is the kernels, loaded on a device.
type Module struct {
	device            *Device
	module            cu.Module
	Letterbox, Decode Kernel
}

// Kernel is one of a Module's.
type Kernel struct {
	name     string
	function cu.Function
}

// Load puts the kernels on the device. A driver that is older than the compiler
// takes none of its machine code, but compiles PTX.
func (d *Device) Load() (*Module, error) {
	m := &Module{device: d}
	err := d.Do(func() (err error) {
		m.module, err = cu.LoadData(string(kernels.Image()))
		if err = refused("cuModuleLoadData", err); refusesImage(err) {
			m.module, err = cu.LoadData(string(kernels.PTX()))
			err = withCompilerLog(refused("cuModuleLoadData", err))
		}
		if err != nil {
			return err
		}
		for name, to := range map[string]*Kernel{kernels.Letterbox: &m.Letterbox, kernels.Decode: &m.Decode} {
			to.name = name
			if to.function, err = m.module.Function(name); err != nil {
				return errors.Join(refused("cuModuleGetFunction, "+name, err), refused("cuModuleUnload", m.module.Unload()))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// refusesImage reports whether an error is the driver's that it cannot use what
// it was given to load.
func refusesImage(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && slices.Contains([]int{
		C.CUDA_ERROR_INVALID_IMAGE, C.CUDA_ERROR_NO_BINARY_FOR_GPU, C.CUDA_ERROR_INVALID_PTX,
		C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION, C.CUDA_ERROR_JIT_COMPILER_NOT_FOUND, C.CUDA_ERROR_INVALID_SOURCE,
	}, failure.Status)
}

// withCompilerLog adds the driver's words to an error of the compilation of the
// PTX.
func withCompilerLog(err error) error {
	var failure *Error
	if !refusesImage(err) || !errors.As(err, &failure) {
		return err
	}
	log := make([]byte, 4096)
	to := (*C.char)(unsafe.Pointer(unsafe.SliceData(log)))
	C.compile_for_log(unsafe.Pointer(unsafe.SliceData(kernels.PTX())), to, C.uint(len(log)-1))
	words, _, _ := strings.Cut(string(log), "\x00")
	failure.Detail = strings.TrimSpace(words)
	return err
}

// Close takes the kernels off the device. It is safe to call twice.
func (m *Module) Close() error {
	if m.module == (cu.Module{}) {
		return nil
	}
	return m.device.Do(func() error {
		module := m.module
		m.module = cu.Module{}
		return refused("cuModuleUnload", module.Unload())
	})
}

// LetterboxGrid covers a batch of inputs of width x height pixels.
func LetterboxGrid(width, height, batch int) (grid, block Dim) {
	block = Dim{32, 8, 1}
	return Dim{(width + block.X - 1) / block.X, (height + block.Y - 1) / block.Y, batch}, block
}

// DecodeGrid covers the views of a batch, the largest of which has a number of
// positions.
func DecodeGrid(positions, views, batch int) (grid, block Dim) {
	block = Dim{256, 1, 1}
	return Dim{(positions + block.X - 1) / block.X, views, batch}, block
}
