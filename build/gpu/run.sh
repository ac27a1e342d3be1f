#!/usr/bin/env bash
# run.sh test    kernels, the same under compute-sanitizer, engines against ONNX Runtime, and yolov5s with each head built and run
# run.sh bench   pictures a second of yolov5s with each head, beside PyTorch and ONNX Runtime
# run.sh all     both
#
# Runs what build/gpu/pack.sh made, on a machine with an NVIDIA GPU: from the folder with the pieces, which it joins first, or
# from the tree. Everything goes on after a failure. Results lie in $RESULTS (gpu-results), results.md is the summary; the exit
# status is 1 where a step failed. $HEADS are the heads that are built and measured ("coupled decoupled-base ...", default all),
# $SECONDS_EACH how long each measurement takes (2).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$(mkdir -p "${RESULTS:-gpu-results}" && cd "${RESULTS:-gpu-results}" && pwd)

say() { echo "run.sh: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# join unpacks the pieces that lie beside this script, once.
join() {
	local name
	cd "$here"
	if [[ ! -f unpacked/.complete ]]; then
		sha256sum --quiet --check SHA256SUMS || die "pieces are missing or damaged: copy those above again"
		rm -rf unpacked
		mkdir unpacked
		for name in trtdet tensorrt; do
			cat "$name".tar.xz.* | xz -dc -T0 | tar -x -C unpacked
		done
		touch unpacked/.complete
	fi
	export TRTDET_TENSORRT=${TRTDET_TENSORRT:-$here/unpacked/tensorrt10}
	RESULTS=$results exec "$here/unpacked/tree/build/gpu/run.sh" "$@"
}

failed=
# step NAME SECONDS COMMAND... runs one for so long at most. NAME.out has what it prints, NAME.log its errors.
step() {
	local name=$1 limit=$2 start=$SECONDS status=0
	shift 2
	timeout --kill-after=10 "$limit" "$@" >"$results/$name.out" 2>"$results/$name.log" || status=$?
	case $status in
	0) status=ok ;;
	124 | 137) status="over $limit s" failed=yes ;;
	*) status="exit status $status" failed=yes ;;
	esac
	printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - start)) | tee -a "$results/steps.tsv"
}

environment() {
	python3 - "$top/commit" >"$results/environment.json" <<'PYTHON'
import datetime, json, pathlib, platform, subprocess, sys
def ask(field):
    return subprocess.run(["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"], capture_output=True, text=True).stdout.split("\n")[0].strip()
print(json.dumps({"date": datetime.date.today().isoformat(), "card": ask("name"), "driver": ask("driver_version"),
    "clocks": ask("clocks.max.sm"), "commit": pathlib.Path(sys.argv[1]).read_text().strip(), "system": platform.platform()}))
PYTHON
	"$trtdet" info --format json >"$results/info.json"
}

run_tests() {
	local kernels=$top/engine/internal/cuda sanitizer tool head
	# the other test reads the source
	step kernels 120 env -C "$kernels" ./cuda.test -test.v -test.skip TestAllowedCalls
	sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
	for tool in memcheck racecheck initcheck; do
		if [[ -z $sanitizer ]]; then
			say "no compute-sanitizer here: $tool is left out"
			continue
		fi
		step "$tool" 180 env -C "$kernels" "$sanitizer" --tool "$tool" --error-exitcode 9 ./cuda.test -test.v -test.run 'Letterbox|Decode'
	done
	step parity 400 env -C "$top/tests/gpu" ./gpu.test -test.v -test.short
	for head in $heads; do
		build_engine "$head" fp32
		build_engine "$head" fp16
		step "run-$head" 60 "$trtdet" run "$engines/yolov5s-$head-fp16.engine" "$inputs/pictures" --batch 8 --nosave
	done
}

# build_engine HEAD PRECISION builds and verifies an engine unless it is there.
build_engine() {
	local head=$1 precision=$2 engine=$engines/yolov5s-$1-$2.engine half=()
	[[ $precision == fp32 ]] || half=(--half)
	[[ -f $engine ]] || step "build-$head-$precision" 240 "$trtdet" build "$inputs/yolov5s-$head.onnx" -o "$engine" --batch 1:8:32 \
		--timing-cache "$engines/timing.cache" --verify "$inputs/pictures" "${half[@]}"
}

run_bench() {
	local head precision
	for head in $heads; do
		for precision in fp32 fp16; do
			build_engine "$head" $precision
			step "bench-$head-$precision" 300 "$trtdet" bench "$engines/yolov5s-$head-$precision.engine" --batch 1,8,32 --slots 1,2 \
				--duration "${each}s" --format json --pictures "$inputs/pictures"
		done
		step "beside-$head" 300 python3 "$top/build/gpu/beside.py" "$head" "$inputs" --seconds "$each"
	done
}

case ${1:-} in
test | bench | all) ;;
*) die "want test, bench or all; the head of $0 says what they are" ;;
esac
[[ ! -f $here/SHA256SUMS ]] || join "$@"

top=$(cd "$here/../.." && pwd)
trtdet=$top/build/out/bin/trtdet
inputs=$top/build/out/gpu/inputs
engines=$top/build/out/gpu/engines
heads=${HEADS:-coupled decoupled-base decoupled-base-split decoupled yolox}
each=${SECONDS_EACH:-2}
mkdir -p "$engines"
export TRTDET_GPU=${TRTDET_GPU:-1} TRTDET_NETS=$top/build/out/nets TRTDET_ONNXRUNTIME=$top/build/deps/onnxruntime/lib/libonnxruntime.so
nvidia-smi >"$results/nvidia-smi.txt" 2>&1 || die "no NVIDIA GPU or driver here (nvidia-smi): this runs on a machine that has one"
: >"$results/steps.tsv"
environment
[[ $1 == bench ]] || run_tests
[[ $1 == test ]] || run_bench
python3 "$top/build/gpu/table.py" "$results" >"$results/results.md"
cat "$results/results.md"
[[ -z $failed ]] || die "some steps failed: $results/NAME.log and NAME.out say why"
