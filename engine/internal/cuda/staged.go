package cuda

import "errors"

// staged is device memory with pinned memory of the same size, between which a
// stream copies.
type staged struct {
	device *Buffer
	host   *Pinned
}

func (d *Device) stage(size int) (*staged, error) {
	device, err := d.Alloc(size)
	if err != nil {
		return nil, err
	}
	host, err := d.AllocPinned(size)
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &staged{device: device, host: host}, nil
}

// grow replaces the memory by size bytes unless there are as many. What was in
// it is lost, unless there is no room: then all stays as it is. No work may be
// under way that uses it.
func (s *staged) grow(d *Device, size int) error {
	if s.device != nil && s.device.Size() >= size {
		return nil
	}
	made, err := d.stage(size)
	if err != nil {
		return err
	}
	old := *s
	*s = *made
	return old.Close()
}

// Close frees both. It is safe to call twice.
func (s *staged) Close() error {
	if s.device == nil {
		return nil
	}
	device, host := s.device, s.host
	*s = staged{}
	return errors.Join(host.Close(), device.Close())
}
