#!/usr/bin/env bash
# run.sh kernels   the kernels, and the same under compute-sanitizer; the pieces with TensorRT need not be there
# run.sh engines   engines of every kind against ONNX Runtime
# run.sh test      both of these
# run.sh bench     yolov5s with each head built, held to ONNX Runtime and measured, in batches and as a server has it, beside
#                  PyTorch and ONNX Runtime
# run.sh all       everything
#
# Runs what build/gpu/pack.sh made, on a machine with an NVIDIA GPU: from the folder with the pieces, which it joins first, or
# from the tree. Everything goes on after a failure. Results lie in $RESULTS (gpu-results), those of an earlier run are added to;
# results.md is the summary. The exit status is 1 where a step failed.
#
#   HEADS          that are measured ("coupled decoupled-base ...", default all)
#   PRECISIONS     ("fp32 fp16")
#   SECONDS_EACH   how long each measurement takes (2)
#   BUILD_FLAGS    more flags of trtdet build, such as "--opt-level 5"
#   TEST_FLAGS     of the engines' tests ("-test.short")
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$(mkdir -p "${RESULTS:-gpu-results}" && cd "${RESULTS:-gpu-results}" && pwd)

say() { echo "run.sh: $*" >&2; }
die() {
	say "$*"
	exit 1
}
[[ -O $results ]] || die "$results is another user's: RESULTS names a folder of your own"

# join NAME unpacks the pieces of that name that lie beside this script, once.
join() {
	local name=$1
	[[ ! -f $here/unpacked/.$name ]] || return 0
	(cd "$here" && grep "/$name\.tar" SHA256SUMS | sha256sum --quiet --check) || die "pieces are missing or damaged: copy those above again"
	mkdir -p "$here/unpacked"
	cat "$here/$name".tar.xz.* | xz -dc -T0 | tar -x -C "$here/unpacked"
	touch "$here/unpacked/.$name"
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
	[[ $status == ok ]]
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

test_kernels() {
	local kernels=$top/engine/internal/cuda sanitizer tool
	# the other tests read the source, or run engines
	step kernels 120 env -C "$kernels" ./cuda.test -test.v -test.run 'Letterbox|Decode' || true
	sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
	for tool in memcheck racecheck initcheck; do
		if [[ -z $sanitizer ]]; then
			say "no compute-sanitizer here: $tool is left out"
			continue
		fi
		step "$tool" 180 env -C "$kernels" "$sanitizer" --tool "$tool" --error-exitcode 9 ./cuda.test -test.v -test.run 'Letterbox|Decode' || true
	done
}

test_engines() {
	step profiles 120 env -C "$top/engine/internal/cuda" ./cuda.test -test.v -test.run 'Profiles' || true
	# shellcheck disable=SC2086 # flags
	step half 300 env -C "$top/tests/gpu" ./gpu.test -test.v -test.run 'InHalf' ${TEST_FLAGS--test.short} || true
	# shellcheck disable=SC2086 # flags
	step engines 600 env -C "$top/tests/gpu" ./gpu.test -test.v -test.skip 'InHalf' ${TEST_FLAGS--test.short} || true
}

# build_engine HEAD PRECISION builds an engine unless it is there, verified or, where that fails, not.
build_engine() {
	local head=$1 precision=$2 engine=$engines/yolov5s-$1-$2.engine flags
	[[ ! -f $engine ]] || return 0
	read -ra flags <<<"--batch 1:8:32 --timing-cache $engines/timing.cache ${BUILD_FLAGS-}"
	[[ $precision == fp32 ]] || flags+=(--half)
	step "build-$head-$precision" 300 "$trtdet" build "$inputs/yolov5s-$head.onnx" -o "$engine" "${flags[@]}" --verify "$inputs/640x480" ||
		step "build-unverified-$head-$precision" 300 "$trtdet" build "$inputs/yolov5s-$head.onnx" -o "$engine" "${flags[@]}"
}

bench() {
	local head precision size form flags
	for head in $heads; do
		for precision in ${PRECISIONS:-fp32 fp16}; do
			build_engine "$head" "$precision" || continue
			for size in 640x480 1920x1080; do
				step "bench-$head-$precision-$size" 300 "$trtdet" bench "$engines/yolov5s-$head-$precision.engine" --batch 1,8,32 --slots 1,2 \
					--duration "${each}s" --warmup "${each}s" --format json --pictures "$inputs/$size" || true
			done
			for form in raw jpeg; do
				flags=(--singly --concurrency "1,8,64,256" --batch 8 --slots "1,2,4")
				[[ $form == raw ]] || flags+=(--encoded)
				step "served-$head-$precision-$form" 300 "$trtdet" bench "$engines/yolov5s-$head-$precision.engine" "${flags[@]}" \
					--duration "${each}s" --warmup "${each}s" --format json --pictures "$inputs/1920x1080" || true
			done
		done
		step "beside-$head" 300 python3 "$top/build/gpu/beside.py" "$head" "$inputs" --seconds "$each" || true
	done
}

case ${1:-} in
kernels | engines | test | bench | all) ;;
*) die "want kernels, engines, test, bench or all; the head of $0 says what they are" ;;
esac
if [[ -f $here/SHA256SUMS ]]; then
	join trtdet
	if [[ $1 != kernels ]]; then
		join tensorrt
		export TRTDET_TENSORRT=${TRTDET_TENSORRT:-$here/unpacked/tensorrt10}
	fi
	RESULTS=$results exec "$here/unpacked/tree/build/gpu/run.sh" "$@"
fi

top=$(cd "$here/../.." && pwd)
trtdet=$top/build/out/bin/trtdet
inputs=$top/build/out/gpu/inputs
engines=$top/build/out/gpu/engines
heads=${HEADS:-coupled decoupled-base decoupled-base-split decoupled yolox}
each=${SECONDS_EACH:-2}
mkdir -p "$engines"
export TRTDET_GPU=${TRTDET_GPU:-1} TRTDET_NETS=$top/build/out/nets TRTDET_ONNXRUNTIME=$top/build/deps/onnxruntime/lib/libonnxruntime.so
# the engines' tests build in their own process, whose loader has to know where TensorRT is
[[ -z ${TRTDET_TENSORRT-} ]] || export LD_LIBRARY_PATH=$TRTDET_TENSORRT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
nvidia-smi >"$results/nvidia-smi.txt" 2>&1 || die "no NVIDIA GPU or driver here (nvidia-smi): this runs on a machine that has one"
environment
case $1 in kernels | test | all) test_kernels ;; esac
case $1 in engines | test | all) test_engines ;; esac
case $1 in bench | all) bench ;; esac
python3 "$top/build/gpu/table.py" "$results" >"$results/results.md"
cat "$results/results.md"
[[ -z $failed ]] || die "some steps failed: $results/NAME.log and NAME.out say why"
