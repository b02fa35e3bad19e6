#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Runs a sweep on a Cloud TPU VM slice, asked for as a queued resource.
  up      create, run, delete: the slice is deleted however this ends, Ctrl-C included
  create  asks for the slice
  wait    waits until it is there
  run     waits, and runs the sweep on all workers; a slice that was preempted is deleted and asked for again
  delete  deletes the slice"
COMMANDS=(up create wait run delete)
option name lwlrd "of the queued resource, and of the slice"
option zone "" "where it is, such as us-east5-b"
option project "" "default: gcloud's own"
option accelerator-type "" "such as v5litepod-16"
option runtime-version "" "of the TPU software, such as v2-alpha-tpuv5-lite"
switch spot "a slice that costs less and may be taken away"
option service-account "" "whose rights the workers have, of writing to gs:// too; default: Compute Engine's own"
option create-flags "" "further flags of gcloud ... create, separated by spaces, such as --create-flags=--reserved"
environment_options . tpu
option max-restarts 50 "how often the sweep is started again, on the same slice or on another one"
option poll 30 "seconds between two looks at the slice"
option wait-limit 86400 "seconds to wait for the slice each time"
parse "$@"
need zone
need_name
need_whole_numbers max-restarts poll wait-limit
NAME=${OPT[name]}
AT=("--zone=${OPT[zone]}" ${OPT[project]:+"--project=${OPT[project]}"})
TPUS=(gcloud compute tpus)

create() {
  local flags
  read -ra flags <<<"${OPT[create-flags]}"
  attend "${TPUS[@]}" queued-resources create "$NAME" "${AT[@]}" "--node-id=$NAME" \
    "--accelerator-type=${OPT[accelerator-type]}" "--runtime-version=${OPT[runtime-version]}" \
    ${OPT[spot]:+--spot} ${OPT[service-account]:+"--service-account=${OPT[service-account]}"} "${flags[@]}"
}

# Three tries: what is just being made cannot always be deleted.
delete() {
  local try
  for try in 1 2 3; do
    ((try == 1)) || pause "${OPT[poll]}"
    if run "${TPUS[@]}" queued-resources delete "$NAME" "${AT[@]}" --force --quiet; then return 0; fi
  done
  say "$NAME may still be there, and cost: $ME delete --name $NAME ${AT[*]}"
  return 1
}

# What the queued resource says; of one that is ACTIVE what its slice says, unless that is READY. A slice that was
# taken away may still be called ACTIVE for a while.
state() {
  local now
  now=$(ask ACTIVE "${TPUS[@]}" queued-resources describe "$NAME" "${AT[@]}" '--format=value(state.state)') ||
    now=UNKNOWN
  if [[ $now == ACTIVE ]]; then
    now=$(ask READY "${TPUS[@]}" tpu-vm describe "$NAME" "${AT[@]}" '--format=value(state)') || now=UNKNOWN
    [[ $now != READY ]] || now=ACTIVE
  fi
  echo "$now"
}

lost() {
  [[ $1 =~ ^(FAILED|SUSPENDING|SUSPENDED|DELETING|PREEMPTED|TERMINATED|STOPPING|STOPPED)$ ]]
}

# 0: it is there; 1: it is lost; 75: it did not come in time.
wait_for_slice() {
  local now before='' began=$SECONDS
  while :; do
    now=$(state)
    [[ $now == "$before" || ${OPT[dry-run]} ]] || say "$NAME is $now"
    before=$now
    if [[ $now == ACTIVE ]]; then return 0; fi
    if lost "$now"; then return 1; fi
    if ((SECONDS - began >= OPT[wait-limit])); then
      say "--wait-limit: $NAME is not there after ${OPT[wait-limit]} seconds"
      return 75
    fi
    pause "${OPT[poll]}"
  done
}

start() {
  attend "${TPUS[@]}" tpu-vm scp "$ARCHIVE" "$NAME:lwlrd-launch.tar.gz" "${AT[@]}" --worker=all || return
  # Without the two flags of ssh, a connection to a slice that was taken away would hang.
  attend "${TPUS[@]}" tpu-vm ssh "$NAME" "${AT[@]}" --worker=all --ssh-flag=-oServerAliveInterval=30 \
    --ssh-flag=-oServerAliveCountMax=6 "--command=$REMOTE"
}

RESTARTS=0
again() {
  if ((++RESTARTS > OPT[max-restarts])); then
    say "$1, and it was started again ${OPT[max-restarts]} times already (--max-restarts)"
    return 1
  fi
  say "$1; starting again ($RESTARTS of ${OPT[max-restarts]})"
}

# The exit code is that of the first worker whose sweep failed; 255 is a connection that broke.
run_sweep() {
  local code now
  while :; do
    code=0
    wait_for_slice || code=$?
    case $code in
      75) return 75 ;;
      1)
        again "the slice is lost" || return 75
        delete || true
        create || return
        continue
        ;;
    esac
    start || code=$?
    case $code in 0 | 2 | 130) return "$code" ;; esac
    now=$(state)
    if lost "$now"; then continue; fi
    if [[ $now == ACTIVE && ! $code =~ ^(75|143|255)$ ]]; then
      say "the sweep ended with $code on a slice that is well: not started again"
      return "$code"
    fi
    again "the sweep ended with $code" || return 75
  done
}

prepare() {
  need_out shared
  entry launch/entry.sh LWLRD_DISTRIBUTED=1 LWLRD_LOCK=../lwlrd-launch.lock
  REMOTE="rm -rf lwlrd-launch && tar -xzf lwlrd-launch.tar.gz && cd lwlrd-launch && exec $(quoted "${ENTRY[@]}")"
  pack
}

trap 'stop_child; exit 130' INT
trap 'stop_child; exit 143' TERM
trap 'exec </dev/null >/dev/null 2>&1; stop_child; exit 143' HUP # what writes to a closed terminal fails
case $COMMAND in
  up)
    need accelerator-type runtime-version
    prepare
    # Before the slice is asked for: a signal may come in between. One that was there before is not ours to delete.
    trap 'trap "" INT TERM HUP; delete || true' EXIT
    create || {
      code=$?
      trap - EXIT
      say "$NAME was not created; if there is a slice of that name, run uses it and delete removes it"
      exit "$code"
    }
    run_sweep
    ;;
  create)
    need accelerator-type runtime-version
    create
    ;;
  wait) wait_for_slice ;;
  run)
    need accelerator-type runtime-version # to ask for another one
    prepare
    run_sweep
    ;;
  delete) delete ;;
esac
