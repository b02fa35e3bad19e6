#!/usr/bin/env bash
# Starts the sweep on one machine, in one container, or as one task of a cluster: makes the environment where it is not
# there yet, then becomes Python, so that signals reach the sweep. Its arguments are the sweep's.
#
# LWLRD_SOURCE       a folder with the package, a pip requirement, or none (default): Python has the package already
# LWLRD_EXTRAS       extras to install with a folder: cuda, tpu, or none (default)
# LWLRD_PIP          further requirements, separated by spaces; gcsfs is added where a word of the sweep names gs://
# LWLRD_VENV         where the environment is kept, or, with none, lies (default ~/.cache/lwlrd_jax/venv)
# LWLRD_PYTHON       what it is made with; with none and no LWLRD_VENV, what runs the sweep (default python3)
# LWLRD_DISTRIBUTED  1: the sweep joins the other processes, which the cluster tells it of
# LWLRD_COORDINATOR  HOST:PORT, with LWLRD_PROCESSES and LWLRD_PROCESS_ID: where no cluster tells
# LWLRD_LOCK         a file; a sweep that still holds it is stopped first
set -euo pipefail

source=${LWLRD_SOURCE:-none}
venv=${LWLRD_VENV:-$HOME/.cache/lwlrd_jax/venv}
python=${LWLRD_PYTHON:-python3}

make_venv() {
  if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    "$python" -m venv "$venv"
  else # TPU VMs come with an older Python; some images have one that makes no environments
    "$python" -m pip install --quiet --target "$venv.uv" uv
    "$venv.uv/bin/uv" venv --quiet --seed --python 3.12 "$venv"
  fi
}

install() {
  local words=() further extras="" wanted=""
  if [[ -d $source ]]; then
    [[ ${LWLRD_EXTRAS:-none} == none ]] || extras="[$LWLRD_EXTRAS]"
    words=(--constraint "$source/constraints.txt" --editable "$source$extras")
    wanted=$(cat "$source/pyproject.toml" "$source/constraints.txt")
  else
    words=("$source")
  fi
  read -ra further <<<"${LWLRD_PIP:-}"
  words+=("${further[@]}")
  [[ "$*" != *gs://* ]] || words+=(gcsfs)
  wanted+=$(printf '\n%s' "${words[@]}")

  mkdir -p "$(dirname "$venv")"
  exec 8>>"$venv.lock"
  flock 8 # tasks that share a disk install once
  [[ -x $venv/bin/python ]] || make_venv
  if [[ ! -f $venv/installed || $(<"$venv/installed") != "$wanted" ]]; then
    rm -f "$venv/installed"
    "$venv/bin/python" -m pip install --quiet "${words[@]}" || exit 1 # pip's 2 is no mistake of the sweep's user
    printf '%s\n' "$wanted" >"$venv/installed"
  fi
  exec 8>&-
}

if [[ $source != none ]]; then install "$@"; fi
if [[ $source != none || -n ${LWLRD_VENV:-} ]]; then python=$venv/bin/python; fi

if [[ ${LWLRD_LOCK:-} ]]; then
  exec 9>>"$LWLRD_LOCK" # Python inherits it, and with it the lock
  if ! flock --nonblock 9; then
    kill -TERM "$(<"$LWLRD_LOCK")" || true
    flock --timeout 120 9 || {
      kill -KILL "$(<"$LWLRD_LOCK")" || true
      flock 9
    }
  fi
  echo $$ >"$LWLRD_LOCK"
fi

how=(--restartable)
if [[ ${LWLRD_COORDINATOR:-} ]]; then
  how+=(--coordinator "$LWLRD_COORDINATOR" --processes "$LWLRD_PROCESSES" --process-id "$LWLRD_PROCESS_ID")
elif [[ ${LWLRD_DISTRIBUTED:-0} == 1 ]]; then
  how+=(--distributed)
fi
exec "$python" -m lwlrd_jax.sweep "${how[@]}" "$@"
