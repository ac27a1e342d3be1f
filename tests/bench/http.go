package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	load "github.com/trtdet/trtdet/bench"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// httpServer is a server that finds objects in a JPEG, and how it is asked.
type httpServer struct {
	program
	url    string
	client *http.Client
	// ask is a request with a JPEG in it, objects are how many an answer has.
	ask     func(jpeg []byte) (path string, header http.Header, body []byte)
	objects func(answer *http.Response, body []byte) (int, error)
	want    int // objects
}

// startHTTP starts a program that listens, and waits until it is ready.
func startHTTP(b *bench, port int, ready string, p program) (*httpServer, error) {
	s := &httpServer{
		program: p, url: fmt.Sprint("http://127.0.0.1:", port),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: servedCallers}},
	}
	log, err := os.Create(filepath.Join(b.folder, filepath.Base(p.Path)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.Stdout, p.Stderr = log, log
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Cancel = func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) } // Triton has processes of its own
	if err := p.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if s.answers(b.ctx, ready) {
			return s, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-b.ctx.Done():
			s.stop()
			return nil, b.ctx.Err()
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not answer: %s says why", p.Path, log.Name())
}

// answers reports whether a path of the server's is there within a second.
func (s *httpServer) answers(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return false
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// stop ends it and all that it started.
func (s *httpServer) stop() {
	s.client.CloseIdleConnections()
	syscall.Kill(-s.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
	s.Wait()                                      //nolint:errcheck // it was killed
}

// freePort is a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// DetectBatch has the server find the objects of one encoded picture, for
// bench.Run.
func (s *httpServer) DetectBatch(ctx context.Context, pictures []imaging.Source) ([]engine.Result, error) {
	n, err := s.detect(ctx, pictures[0].(imaging.Encoded).Data)
	if err == nil && n != s.want {
		err = fmt.Errorf("%s: %d objects, want %d", s.url, n, s.want)
	}
	return make([]engine.Result, 1), err
}

func (s *httpServer) detect(ctx context.Context, jpeg []byte) (objects int, err error) {
	path, header, body := s.ask(jpeg)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header = header
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s: %s", s.url, answer.Status, text)
	}
	return s.objects(answer, text)
}

// measure returns pictures a second, p99 in seconds, and what the server's
// processes compute for a picture.
func (s *httpServer) measure(ctx context.Context, jpeg []byte) (rate, p99, cpu float64, err error) {
	if s.want, err = s.detect(ctx, jpeg); err != nil {
		return 0, 0, 0, err
	}
	before, err := groupCPU(s.Process.Pid)
	if err != nil {
		return 0, 0, 0, err
	}
	const duration, warmup = 2 * time.Second, time.Second / 2
	r, err := load.Run(ctx, s, load.Load{
		Pictures: []imaging.Source{imaging.Encoded{Data: jpeg}}, Batch: 1, Concurrency: servedCallers, Warmup: warmup, Duration: duration,
	})
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := groupCPU(s.Process.Pid)
	// it does in the warm-up what it does after
	pictures := r.PicturesPerSecond * (duration + warmup).Seconds()
	return r.PicturesPerSecond, r.Latency.At(0.99).Seconds(), (after - before).Seconds() / pictures, err
}

// groupCPU is what a group of processes has computed.
func groupCPU(group int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // Linux's USER_HZ, on every machine that we know of
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	var ticks int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// after the name in parentheses: state, ppid, pgrp, ..., the 12th and 13th are utime and stime
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[2] != strconv.Itoa(group) {
			continue
		}
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, err
}

// oursHTTP starts examples/server.
func (b *bench) oursHTTP(n servedNet) (*httpServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := startHTTP(b, port, "/stats", b.ours("server", "-listen", fmt.Sprint("127.0.0.1:", port), "-imgsz", servedSize,
		"-batch", strconv.Itoa(servedBatch), "-slots", strconv.Itoa(servedThreads), n.path(b)))
	if err != nil {
		return nil, err
	}
	s.ask = func(jpeg []byte) (string, http.Header, []byte) { return "/detect", http.Header{}, jpeg }
	s.objects = func(_ *http.Response, body []byte) (int, error) {
		var detections []engine.Detection
		err := json.Unmarshal(body, &detections)
		return len(detections), err
	}
	return s, nil
}

// triton starts Triton with triton_model.py, in as many processes as there are
// threads.
func (b *bench) triton(n servedNet) (*httpServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	tree := filepath.Join(b.top, "build/deps/triton")
	tools := filepath.Join(tree, "pytriton/tritonserver")
	repository := filepath.Join(b.folder, "triton")
	version := filepath.Join(repository, "models/detector/1")
	backend := filepath.Join(repository, "backends/python")
	config := fmt.Sprintf(`backend: "python"
max_batch_size: %d
input [{ name: "IMAGE" data_type: TYPE_STRING dims: [1] }]
output [{ name: "BOXES" data_type: TYPE_FP32 dims: [-1, 6] }]
instance_group [{ kind: KIND_CPU count: %d }]
dynamic_batching { }
parameters { key: "network" value: { string_value: %q } }
parameters { key: "size" value: { string_value: %q } }
parameters { key: "conf" value: { string_value: %q } }
`, servedBatch, servedThreads, n.path(b), servedSize, n.conf)
	pythonVersion, err := b.command("/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return nil, err
	}
	stub := filepath.Join(tools, "python_backend_stubs", strings.TrimSpace(string(pythonVersion)), "triton_python_backend_stub")
	if err := errors.Join(os.RemoveAll(repository), os.MkdirAll(version, 0o755), os.MkdirAll(backend, 0o755),
		os.WriteFile(filepath.Join(filepath.Dir(version), "config.pbtxt"), []byte(config), 0o644),
		os.Symlink(filepath.Join(b.top, "tests/bench/triton_model.py"), filepath.Join(version, "model.py")),
		os.Symlink(stub, filepath.Join(backend, filepath.Base(stub))),
		os.Symlink(filepath.Join(tools, "backends/python/libtriton_python.so"), filepath.Join(backend, "libtriton_python.so")),
		os.Symlink(filepath.Join(tools, "backends/python/triton_python_backend_utils.py"), filepath.Join(backend, "triton_python_backend_utils.py")),
	); err != nil {
		return nil, err
	}
	c := b.command(filepath.Join(tools, "bin/tritonserver"), "--model-repository="+filepath.Join(repository, "models"),
		"--backend-directory="+filepath.Join(repository, "backends"), "--http-address=127.0.0.1", fmt.Sprint("--http-port=", port),
		"--allow-grpc=false", "--allow-metrics=false", "--pinned-memory-pool-byte-size=0")
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(tree, "nvidia_pytriton.libs"), "OMP_NUM_THREADS=1")
	s, err := startHTTP(b, port, "/v2/health/ready", program{c})
	if err != nil {
		return nil, err
	}
	s.ask = askTriton
	s.objects = tritonObjects
	return s, nil
}

// askTriton is a request in the KServe protocol with its binary extension: JSON,
// then the tensor's elements, each after its length.
func askTriton(jpeg []byte) (path string, header http.Header, body []byte) {
	head := fmt.Sprintf(`{"inputs":[{"name":"IMAGE","shape":[1,1],"datatype":"BYTES","parameters":{"binary_data_size":%d}}],`+
		`"outputs":[{"name":"BOXES","parameters":{"binary_data":true}}]}`, 4+len(jpeg))
	body = binary.LittleEndian.AppendUint32([]byte(head), uint32(len(jpeg)))
	return "/v2/models/detector/infer", http.Header{"Inference-Header-Content-Length": {strconv.Itoa(len(head))}}, append(body, jpeg...)
}

// tritonObjects reads how many rows the answer's BOXES have.
func tritonObjects(answer *http.Response, body []byte) (int, error) {
	size, err := strconv.Atoi(answer.Header.Get("Inference-Header-Content-Length"))
	if err != nil || size > len(body) {
		return 0, fmt.Errorf("an answer without a header's length: %s", body)
	}
	var head struct {
		Outputs []struct{ Shape []int }
	}
	if err := json.Unmarshal(body[:size], &head); err != nil {
		return 0, err
	}
	if len(head.Outputs) != 1 || len(head.Outputs[0].Shape) != 3 {
		return 0, fmt.Errorf("an answer without boxes: %s", body[:size])
	}
	return head.Outputs[0].Shape[1], nil
}

// bothServers are those of the triton suite.
type bothServers struct{ ours, triton *httpServer }

func (b *bench) prepareTriton(n servedNet) (any, func(), error) {
	ours, err := b.oursHTTP(n)
	if err != nil {
		return nil, nil, err
	}
	triton, err := b.triton(n)
	if err != nil {
		ours.stop()
		return nil, nil, err
	}
	return &bothServers{ours, triton}, func() { ours.stop(); triton.stop() }, nil
}

func (b *bench) measureTriton(n servedNet, both *bothServers) (figures, error) {
	jpeg, err := os.ReadFile(b.smallPicture())
	if err != nil {
		return nil, err
	}
	library, err := b.servedAlone(n, "-encoded")
	if err != nil {
		return nil, err
	}
	rate, p99, cpu, err := both.ours.measure(b.ctx, jpeg)
	if err != nil {
		return nil, err
	}
	tritonRate, tritonP99, tritonCPU, err := both.triton.measure(b.ctx, jpeg)
	if err != nil {
		return nil, err
	}
	if both.ours.want != both.triton.want || both.ours.want != library.Objects || both.ours.want == 0 {
		return nil, fmt.Errorf("ours has %d objects in %s, the library %d, Triton's %d: that is not the same work",
			both.ours.want, b.smallPicture(), library.Objects, both.triton.want)
	}
	return figures{
		"rate": library.PicturesPerSecond, "http rate": rate, "triton rate": tritonRate,
		"p99": library.P99, "http p99": p99, "triton p99": tritonP99,
		"own": library.CPU - library.Network, "http own": cpu - library.Network, "triton own": tritonCPU - library.Network,
	}, nil
}
