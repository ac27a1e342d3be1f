// Command server answers HTTP requests with the objects in a picture:
//
//	go run ./examples/server model.engine &
//	curl --data-binary @dog.jpg localhost:8080/detect
//
// ?conf=0.5 asks for another threshold than the model's.
//
// The picture's bytes are decoded where the network takes them from, requests
// that come at once share a batch, and a client that goes away costs nothing
// more. GET /stats is what the detector has done; SIGHUP has it open the model
// again, as after an update, and SIGTERM answers what is under way.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// mostBytes of a picture are read, and bodyBytes of all that are under way.
const (
	mostBytes = 16 << 20
	bodyBytes = 512 << 20
)

var bodies = semaphore.NewWeighted(bodyBytes)

func main() {
	address := flag.String("listen", "localhost:8080", "address and port to listen on")
	o := &engine.Options{QueueLimit: 256}
	flag.IntVar(&o.Batch, "batch", 0, "pictures at once (all that an engine takes, 1 on the CPU)")
	flag.IntVar(&o.Slots, "slots", 0, "batches at once (2 of each GPU, 1 on the CPU)")
	flag.DurationVar(&o.MaxDelay, "max-delay", 0, "how long a picture may be held for others to fill its batch")
	flag.Int64Var(&o.HostMemory, "host-memory", 0, "bytes of memory for pictures (a quarter of what the process may use)")
	flag.Int64Var(&o.DeviceMemory, "device-memory", 0, "bytes of each GPU's memory (what batch and slots need, and half of what is free)")
	imgsz := flag.Int("imgsz", 0, "of the network's input, where it is free (640)")
	deadline := flag.Duration("deadline", 2*time.Second, "how long a request may take before it is answered with status 503; 0 is no deadline")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: server [flags] MODEL")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || *deadline < 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.Height, o.Width = *imgsz, *imgsz
	if err := serve(flag.Arg(0), *address, *deadline, o); err != nil {
		log.Fatal(err)
	}
}

func serve(model, address string, deadline time.Duration, o *engine.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	detector, err := engine.Open(ctx, model, o)
	if err != nil {
		return err
	}
	defer detector.Close()
	if err := detector.Warmup(ctx); err != nil {
		return err
	}
	go reload(ctx, detector, model)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /detect", func(w http.ResponseWriter, r *http.Request) { detect(w, r, detector, deadline) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, detector.Stats()) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s", listener.Addr())
	closed := make(chan error, 1)
	context.AfterFunc(ctx, func() { closed <- server.Shutdown(context.Background()) })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

// reload opens the model again at each SIGHUP. No request fails because of it.
func reload(ctx context.Context, detector *engine.Detector, model string) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	for range again {
		if err := detector.Swap(ctx, model, nil); err != nil {
			log.Printf("the model stays as it is: %v", err)
		}
	}
}

func detect(w http.ResponseWriter, r *http.Request, detector *engine.Detector, deadline time.Duration) {
	size := r.ContentLength
	if size < 0 || size > mostBytes {
		size = mostBytes
	}
	if !bodies.TryAcquire(size) {
		http.Error(w, "too many pictures are being sent", http.StatusServiceUnavailable)
		return
	}
	defer bodies.Release(size)
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	ctx := r.Context()
	if deadline > 0 {
		within, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		ctx = within
	}
	if conf := r.URL.Query().Get("conf"); conf != "" {
		threshold, err := strconv.ParseFloat(conf, 32)
		if err == nil {
			detector, err = detector.With(engine.Conf(float32(threshold)))
		}
		if errors.Is(err, engine.ErrClosed) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			http.Error(w, "conf: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	// one client's requests take turns with another's
	host, _, _ := net.SplitHostPort(r.RemoteAddr) //nolint:errcheck // then all are one client
	result, err := detector.Detect(engine.WithCaller(ctx, host), imaging.Encoded{Data: data, Limits: imaging.Limits{MaxPixels: 50_000_000}})
	switch {
	case err == nil:
		reply(w, append([]engine.Detection{}, result.Detections...)) // a list, also of nothing
	case errors.Is(err, engine.ErrOverloaded), errors.Is(err, engine.ErrLost), errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case ctx.Err() != nil: // nobody is there to read it
	case errors.Is(err, engine.ErrMemoryLimit):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, imaging.ErrDamaged), errors.Is(err, imaging.ErrTruncated), errors.Is(err, imaging.ErrUnsupported), errors.Is(err, imaging.ErrTooLarge):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func reply(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(what) //nolint:errcheck // the client has gone
}
