package model

import (
	"bytes"
	"fmt"
)

// foreign are files that are given by mistake, by their first bytes, and the
// way out.
var foreign = []struct{ magic, what string }{
	{"PK\x03\x04", "a ZIP archive, most likely PyTorch weights; export them to ONNX"},
	{"\x80\x02", "a Python pickle, most likely PyTorch weights; export them to ONNX"},
	{"vtrt", "a TensorRT-RTX engine; the name of its file has to end in .engine or .plan, and its bytes come with those of its manifest"},
	{"ptrt", "a TensorRT engine; the name of its file has to end in .engine or .plan, and its bytes come with those of its manifest"},
	{"ftrt", "a TensorRT engine; the name of its file has to end in .engine or .plan, and its bytes come with those of its manifest"},
	{"version https://git-lfs", "a Git LFS pointer; git lfs pull fetches the file itself"},
	{"\xff\xd8\xff", "a JPEG; the model comes first, then the pictures"},
	{"\x89PNG", "a PNG; the model comes first, then the pictures"},
	{"RIFF", "a WebP or AVI; the model comes first, then the pictures"},
	{"\x89HDF", "an HDF5 file; export the network to ONNX"},
	{"<", "a web page or XML; was the download refused?"},
	{"\x7fELF", "a program"},
}

// checkForeign refuses what is plainly no ONNX file: protobuf's own words for
// it help nobody.
func checkForeign(b []byte) error {
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return fmt.Errorf("%w: it is %s", ErrInvalid, f.what)
		}
	}
	return nil
}
