package cuda

import (
	"errors"
	"slices"
	"unsafe"

	"github.com/x448/float16"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
)

// Maps implements backend.Lane.
func (s *slot) Maps(pictures []*backend.Picture) (maps []decode.Tensor, err error) {
	err = s.use(func() (err error) {
		maps, err = s.maps(pictures)
		return err
	})
	return maps, err
}

// maps runs the pictures up to the network's outputs and returns these.
func (s *slot) maps(pictures []*backend.Picture) (_ []decode.Tensor, err error) {
	b, err := s.bucketFor(len(pictures))
	if err != nil {
		return nil, err
	}
	raw := make([]*Pinned, len(s.outputs))
	defer func() {
		for _, r := range raw {
			if r != nil {
				err = errors.Join(err, r.Close())
			}
		}
	}()
	for i, o := range s.outputs {
		if raw[i], err = s.device.AllocPinned(o.rowBytes() * b.size); err != nil {
			return nil, err
		}
	}
	header := s.headerOf()
	if err := s.place(pictures, header); err != nil {
		return nil, err
	}
	s.setBlock(header, len(pictures), s.candidates.device.Address(), capacity)
	if err := s.do(func() error {
		err := errors.Join(s.copyIn(pictures), s.network(b))
		for i, o := range s.outputs {
			err = errors.Join(err, s.stream.CopyOut(raw[i].Bytes(), o.memory.Address()))
		}
		return err
	}); err != nil {
		return nil, err
	}
	tensors := make([]decode.Tensor, len(s.outputs))
	for i, o := range s.outputs {
		tensors[i] = o.read(raw[i].Bytes(), len(pictures))
	}
	return tensors, nil
}

// read returns the first pictures' part of the tensor in float32.
func (t tensor) read(raw []byte, pictures int) decode.Tensor {
	read := decode.Tensor{Name: t.name, Shape: append([]int{pictures}, t.shape[1:]...)}
	raw = raw[:t.rowBytes()*pictures]
	at := unsafe.Pointer(unsafe.SliceData(raw))
	if !t.half {
		read.Data = slices.Clone(unsafe.Slice((*float32)(at), len(raw)/4))
		return read
	}
	for _, h := range unsafe.Slice((*float16.Float16)(at), len(raw)/2) {
		read.Data = append(read.Data, h.Float32())
	}
	return read
}
