#!/usr/bin/env bash
# From the labelled data to the released deep tier.   usage: ./train.sh DATA_DIR OUT_DIR
# About two hours on two cores with avx512_bf16; two runs at a time, one thread each (more threads gain little).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
export OMP_NUM_THREADS=1

[ -x "$out/venv/bin/python" ] || python3.11 -m venv "$out/venv"
"$out/venv/bin/pip" install -q -r "$here/requirements.txt"
run() { local script=$1; shift; "$out/venv/bin/python" "$here/$script" "$@"; }

run prepare.py "$data" "$out/work"

# Two first runs, side by side: with the earlier teacher's soft targets, and from the labels alone.
run deep_train.py "$data" "$out/work" "$out/a" --seed 1 --epochs 4 --rate 1e-4 --embedding-rate 2e-5 \
  --soft "$data/teacher.tsv" --soft-rows 15000,15000,10000,0 > "$out/a.log" 2>&1 &
first=$!
run deep_train.py "$data" "$out/work" "$out/b" --seed 2 --epochs 4 --rate 1e-4 --embedding-rate 2e-5 > "$out/b.log" 2>&1
# The second goes on, now with soft targets: as good as the first, and different enough to be averaged with it.
run deep_train.py "$data" "$out/work" "$out/c" --seed 3 --epochs 1 --start "$out/b/epoch-4.safetensors" \
  --rate 6e-5 --head-rate 2e-4 --embedding-rate 1e-5 \
  --soft "$data/teacher.tsv" --soft-rows 24000 --labelled-rows 3000 > "$out/c.log" 2>&1
wait "$first"

run export.py "$data" "$out/work" "$out/deep" \
  "$out"/a/epoch-{2,4,3}.safetensors "$out/c/epoch-1.safetensors" | tee "$out/export.log"
run evaluate.py "$out/deep" "$data/dev.tsv" | tee "$out/dev.txt"
run label.py "$out/deep" "$data/unlabelled.tsv" "$out/deep/teacher-unlabelled.tsv"
