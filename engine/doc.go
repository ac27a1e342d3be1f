// Package engine is trtdet's library: Build makes a TensorRT engine from a
// detector's ONNX file, Open gets a model ready to run, and a Detector finds
// objects in pictures.
//
//	detector, err := engine.Open("model.onnx", nil)
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
// Detect and DetectBatch may be called from any goroutine; Close waits for
// calls under way. Coordinates that come out are pixels of the picture as it
// is shown (EXIF orientation obeyed), clipped to it.
//
// The package knows nothing of files beyond models or of output formats. Its
// errors name the command line's flags, which are its options' names.
package engine
