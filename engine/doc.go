// Package engine is trtdet's library: Build makes a TensorRT engine from a
// detector's ONNX file, Open gets a model ready to run, and a Detector finds
// objects in pictures.
//
//	detector, err := engine.Open(ctx, "model.onnx", nil)
//	if err != nil {
//		return err
//	}
//	defer detector.Close()
//	picture, err := imaging.Open("dog.jpg", imaging.Limits{})
//	if err != nil {
//		return err
//	}
//	result, err := detector.Detect(ctx, picture)
//
// # Pictures
//
// A picture is an imaging.Source: an *imaging.Picture, an *imaging.Raw (RGB or
// BGR with a pitch, as cameras and video decoders have it), imaging.Encoded (the
// bytes of an image file) or an imaging.Image (any of Go's).
// On a GPU pixels go, and JPEGs are decoded, straight into the pinned memory that
// they are copied to the device from. DetectTensor takes what is the network's
// input already. Nothing that is handed in may change until the call returns.
// Boxes are in pixels of the picture as it is shown (EXIF orientation obeyed),
// clipped to it.
//
// # A server
//
// One Detector serves any number of goroutines. Detect waits; Submit hands in and
// returns; DetectBatch takes any number of pictures. All of them share batches:
// what is ready goes at once to a free slot, at most MaxBatch pictures together,
// and while it is computed the next pictures are read. Options.MaxDelay has
// pictures wait a moment for callers who have just been answered and come again:
// fuller batches, at less cost to who waits than it seems (docs/library.md).
//
// Callers take turns: a call at a time from each, where a caller is what
// WithCaller names, or else each call its own. The earliest deadline goes first
// among them. At most Options.QueueLimit pictures wait; a call beyond that ends in
// ErrOverloaded at once. What is read and computed takes at most Options.HostMemory
// and DeviceMemory; a call that exceeds them by itself ends in ErrMemoryLimit. A
// call whose context is canceled leaves the queue and costs the device nothing. A
// deadline that has passed, or that the measured times of batches say cannot be
// kept, ends the call with context.DeadlineExceeded, before its pictures are read
// where that is known then.
//
// On several devices, or on one with several slots, a batch goes where it is
// expected to be done first. What a GPU fails is computed by another, or picture by
// picture; a GPU that fails again and again is suspended, and one that is lost is
// opened anew. Both are tried again after a second, two, four ... up to a minute.
// With none left calls end in ErrLost. Stats has all of that, and the last changes
// of each device; Options.Log gets the latter too.
//
// What is handed in, pictures, contexts and log handlers, may panic or block: that
// call ends in a *PanicError, or waits, and no other notices. Log handlers are
// called from a goroutine of their own and may call the Detector.
//
// With returns a Detector of the same model whose calls ask for other thresholds or
// classes; they share batches with all others.
//
// Warmup has every slot run every size of batch, so that the first calls need not
// wait for memory and CUDA graphs. Swap opens another model and has calls answered
// by it from then on; none fails. Close answers what is under way.
//
// docs/library.md has how to choose slots, batch, delay and queue by one's own
// numbers, and what a module of its own needs to build; examples/ has a server, a
// folder, a video and several GPUs.
//
// The package knows nothing of files beyond models or of output formats. Its
// errors name the command line's flags, which are its options' names.
package engine
