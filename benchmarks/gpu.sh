#!/usr/bin/env bash
# Measures this package on the GPU at hand, in at most eight minutes:
#
#     bash benchmarks/gpu.sh FOLDER [PART...]
#
# FOLDER gets the output of every part, gpu.json and gpu.md. Each part has a time limit, so that one that fails or takes too
# long does not cost the results of the others. Install torch with CUDA first, to compare with it. SMALL=1 makes everything
# tiny, to try the script without a GPU. PYTHON names the interpreter.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

[[ ${1:-} ]] || { echo "usage: bash benchmarks/gpu.sh FOLDER [PART...]" >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit
wanted=" ${*:2} "
python=${PYTHON:-python3}
deadline=$((SECONDS + 460))
export PYTHONUNBUFFERED=1 COLUMNS=200
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$out/programs}
export LWLRD_JAX_CACHE=${LWLRD_JAX_CACHE:-$out/cache}
export XLA_PYTHON_CLIENT_PREALLOCATE=false XLA_PYTHON_CLIENT_MEM_FRACTION=0.9

# part NAME SECONDS MODULE WORDS...
part() {
  local name=$1 seconds=$2 code=0 began=$SECONDS
  [[ $wanted == "  " || $wanted == *" $name "* ]] || return 0
  ((seconds <= deadline - SECONDS)) || seconds=$((deadline - SECONDS))
  ((seconds >= 10)) || { printf '%s\t0\t124\n' "$name" >>"$out/parts.tsv"; return 0; }
  timeout --kill-after=10 "$seconds" "$python" -m "${@:3}" >"$out/$name.log" 2>&1 || code=$?
  printf '%s\t%s\t%s\n' "$name" "$((SECONDS - began))" "$code" >>"$out/parts.tsv"
  echo "$name: exit $code after $((SECONDS - began)) s"
  ((code == 0)) || tail -n 4 "$out/$name.log"
}

populations() { # NAME SECONDS WORDS...
  part "$1" "$2" benchmarks.population --json "$out/$1.json" "${@:3}"
}

rates() { # NAME SECONDS WORDS...
  part "$1" "$2" benchmarks.gpu rates --json "$out/$1.json" "${@:3}"
}

: >"$out/parts.tsv"
{ nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || uname -m; } >"$out/card.txt" 2>/dev/null

engines=lwlrd_jax,torch-loop,torch-func
if [[ ${SMALL:-} ]]; then
  steps=(--batch-size 4 --steps 4 --loop-steps 2 --rounds 1 --engines "lwlrd_jax,jax-loop")
  part equality 200 benchmarks.gpu equality --models cnn --members 2 --batch-size 4 --steps 2 --json "$out/equality.json"
  populations population-mlp 200 --models mlp-16 --members 1,3 "${steps[@]}"
  rates rates-mlp 200 --models mlp-16 --members 3 --batch-size 4 --strategies vmap,loop,2 --computes float32,bfloat16
  part convolutions 200 benchmarks.convolutions --members 2 --batch-size 2 --steps 1 --rounds 1 --json "$out/convolutions.json"
  part sweep 200 lwlrd_jax.sweep --decays 0.5 --attacks transpose --stolen 8 --infect-steps 2 --epochs 1 --no-baselines --out "$out/sweep"
  part streaming 200 benchmarks.streaming --model mlp --image-size 28 --images 200 --members 1 --steps 5 --rounds 1
else
  # A program of a population takes ten to twenty seconds to compile.
  many=(--steps 256 --loop-steps 16 --rounds 1 --engines "$engines")
  part equality 40 benchmarks.gpu equality --json "$out/equality.json"
  rates rates-large 40 --models mlp --members 512
  rates rates-mlp 35 --models mlp
  rates rates-cnn 35 --models cnn
  populations population-mlp 95 --models mlp --members "64,9,1" "${many[@]}"
  populations population-cnn 95 --models cnn --members "64,9,1" "${many[@]}"
  populations population-resnet18 80 --models resnet18 --members 9 "${many[@]}" --steps 32 --loop-steps 8
  part streaming 40 benchmarks.streaming --model cnn --image-size 224
  # What is left is theirs. Named alone on the command line, each of them has the whole time.
  part convolutions 300 benchmarks.convolutions --members 9 --batch-size 128 --steps 8 --json "$out/convolutions.json"
  part sweep 460 lwlrd_jax.sweep --decays 0.1:0.9 --out "$out/sweep"
fi
"$python" -m benchmarks.gpu summary --folder "$out"
