#!/usr/bin/env bash
# What `make demo` shows once trtdet is built: a TensorRT engine from the model that the repository carries, and what that model
# finds in pictures it has never seen, on the CPU where there is no GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

trtdet=build/out/bin/trtdet
demo=build/out/demo
models=(models/emoji/*.onnx)
model=${models[0]}
pictures=models/emoji/images

step() { printf '\n$ %s\n' "$*"; "$@"; }

rm -rf "$demo"
mkdir -p "$demo"
step "$trtdet" build "$model" --batch 1:4:8 -o "$demo/$(basename "$model" .onnx).engine"
step "$trtdet" info "$demo/$(basename "$model" .onnx).engine"
step "$trtdet" run "$model" "$pictures" --project "$demo" --name pictures --exist-ok
printf '\nThe annotated pictures are in %s\n' "$PWD/$demo/pictures"
