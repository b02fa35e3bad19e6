# What the launchers share; sourced, never run. A launcher declares its flags with `option` and `switch`, calls
# `parse "$@"`, and finds the values in OPT, the sweep's own words in SWEEP.
# shellcheck shell=bash

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "bash 4.4 or later is needed, this is $BASH_VERSION" >&2
  exit 2
fi

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ME=${0##*/}
declare -A OPT=() SWITCH=()
HELP=()
SWEEP=()
COMMANDS=() # commands of a launcher; the first is the default
COMMAND=
CHILD=
exec 3>&1 # where a dry run prints, from within $(...) too

say() { printf '%s: %s\n' "$ME" "$*" >&2; }

mistake() {
  say "$@"
  exit 2
}

variable_of() {
  local name=${1^^}
  echo "LWLRD_${name//-/_}"
}

# option NAME DEFAULT TEXT: --NAME VALUE, or $LWLRD_NAME.
option() {
  local variable
  variable=$(variable_of "$1")
  OPT[$1]=${!variable:-$2}
  HELP+=("--$1 VALUE" "$3 (\$$variable${2:+; default: $2})")
}

# switch NAME TEXT: --NAME, or $LWLRD_NAME=1.
switch() {
  local variable
  variable=$(variable_of "$1")
  SWITCH[$1]=1
  OPT[$1]=${!variable:-}
  [[ ${OPT[$1]} =~ ^[01]?$ ]] || mistake "\$$variable: '${OPT[$1]}' is neither 1 nor 0"
  [[ ${OPT[$1]} != 0 ]] || OPT[$1]=
  HELP+=("--$1" "$2 (\$$variable=1)")
}

# What entry.sh needs to know, the same for all launchers.
environment_options() {
  option source "$1" "what to install: a folder with the package, a pip requirement, or none"
  option extras "$2" "extras of the package to install: cuda, tpu, or none"
  option pip "" "further requirements for pip, separated by spaces; gcsfs is added for gs://"
  option venv "" "folder of the environment; default: ~/.cache/lwlrd_jax/venv"
}

usage() {
  local first=${COMMANDS[*]:0:1} i
  printf 'Usage: %s [FLAGS] -- FLAGS OF THE SWEEP\n\n%s\n\n' "$ME${COMMANDS[*]:+ [COMMAND]}" "$ABOUT"
  [[ -z $first ]] || printf 'Without a command: %s. ' "$first"
  printf 'Everything after -- goes to python -m lwlrd_jax.sweep as it is.\n\n'
  for ((i = 0; i < ${#HELP[@]}; i += 2)); do printf '  %-26s %s\n' "${HELP[i]}" "${HELP[i + 1]}"; done
}

parse() {
  local name given
  switch dry-run "print the commands, one a line, and run none of them"
  while (($#)); do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --)
        SWEEP=("${@:2}")
        [[ ${SWEEP[*]} != *$'\n'* ]] || mistake "a word after -- has a line break; not every launcher can hand that on"
        break
        ;;
      --*)
        name=${1#--}
        given=${name#*=}
        name=${name%%=*}
        if [[ ! $name =~ ^[a-z-]+$ || -z ${OPT[$name]+set} ]]; then
          mistake "--$name: no such flag; --help lists them, the sweep's own come after --"
        elif [[ ${SWITCH[$name]:-} ]]; then
          [[ $1 != *=* ]] || mistake "--$name: takes no value, '$given' was given"
          OPT[$name]=1
        elif [[ $1 == *=* ]]; then
          OPT[$name]=$given
        else
          [[ $# -gt 1 && $2 != --* ]] ||
            mistake "--$name: the value is missing (one that begins with --: --$name=VALUE)"
          OPT[$name]=$2
          shift
        fi
        shift
        ;;
      *)
        [[ -z $COMMAND && " ${COMMANDS[*]} " == *" $1 "* ]] ||
          mistake "$1: not understood; allowed: flags${COMMANDS[*]:+, and one of ${COMMANDS[*]}}"
        COMMAND=$1
        shift
        ;;
    esac
  done
  COMMAND=${COMMAND:-${COMMANDS[*]:0:1}}
}

need() {
  local name
  for name; do
    [[ ${OPT[$name]} ]] || mistake "--$name: missing; give it, or set \$$(variable_of "$name")"
  done
}

need_whole_numbers() {
  local name
  for name; do
    [[ ${OPT[$name]} =~ ^(0|[1-9][0-9]{0,8})$ ]] || mistake "--$name: '${OPT[$name]}' is not a whole number"
  done
}

# Names of clouds' and clusters' objects: what all of them take.
need_name() {
  [[ ${OPT[name]} =~ ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$ ]] ||
    mistake "--name: '${OPT[name]}'; allowed: up to 40 of a-z, 0-9 and -, beginning with a letter"
}

# need_out shared|any: a run can only be started again where it is named, and where all processes see it.
need_out() {
  local out='' i
  for ((i = 0; i < ${#SWEEP[@]}; i++)); do
    case ${SWEEP[i]} in
      --out) out=${SWEEP[i + 1]:-} ;;
      --out=*) out=${SWEEP[i]#--out=} ;;
    esac
  done
  [[ $out ]] || mistake "--out: missing after --; the same command resumes the run that is there"
  [[ $1 == any || $out == gs://?* || $out == /* ]] ||
    mistake "--out: '$out' is on one machine; allowed: gs://BUCKET/FOLDER, or the full path of a disk that all mount"
}

# Words as a shell reads them back, any shell.
quoted() {
  local word line=''
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
    line+=" $word"
  done
  printf '%s\n' "${line# }"
}

run() {
  if [[ ${OPT[dry-run]} ]]; then quoted "$@" >&3; else "$@"; fi
}

# ask ANSWER COMMAND...: what the command prints; in a dry run ANSWER, so that what follows can be shown.
ask() {
  if [[ ${OPT[dry-run]} ]]; then
    quoted "${@:2}" >&3
    echo "$1"
  else
    "${@:2}"
  fi
}

# Runs what takes long. A shell acts on a signal only after its foreground command has ended, so this one waits for it.
attend() {
  if [[ ${OPT[dry-run]} ]]; then
    quoted "$@" >&3
    return
  fi
  local code=0
  "$@" <&0 &
  CHILD=$!
  wait "$CHILD" || code=$?
  CHILD=
  return "$code"
}

stop_child() {
  [[ $CHILD ]] || return 0
  kill -TERM "$CHILD" 2>/dev/null || true
  wait "$CHILD" || true
  CHILD=
}

pause() {
  [[ ${OPT[dry-run]} ]] || attend sleep "$1"
}

# SETTINGS: the variables that entry.sh reads, NAME=VALUE. What is given comes after those that all launchers have.
settings() {
  local name
  SETTINGS=()
  for name in source extras pip venv; do
    [[ -z ${OPT[$name]} ]] || SETTINGS+=("$(variable_of "$name")=${OPT[$name]}")
  done
  SETTINGS+=("$@")
}

# entry PATH NAME=VALUE...: ENTRY, the words that start the sweep through entry.sh at PATH.
entry() {
  settings "${@:2}"
  # shellcheck disable=SC2034  # the launchers read it
  ENTRY=(env "${SETTINGS[@]}" bash "$1" "${SWEEP[@]}")
}

# Packs what is committed for machines that do not see this checkout: ARCHIVE, which unpacks into lwlrd-launch/. STAGE
# is a folder for what is made beside it.
pack() {
  STAGE=${XDG_CACHE_HOME:-$HOME/.cache}/lwlrd_jax/launch/${OPT[name]}
  ARCHIVE=$STAGE/source.tar.gz
  run git -C "$ROOT" diff --quiet HEAD -- ||
    mistake "$ROOT: uncommitted changes, or no git repository; what is committed is sent"
  run mkdir -p "$STAGE"
  run git -C "$ROOT" archive --format=tar.gz --prefix=lwlrd-launch/ "--output=$ARCHIVE" HEAD \
    lwlrd_jax launch sweeps pyproject.toml constraints.txt README.md LICENSE
}
