#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Runs a sweep on a TPU slice of a GKE cluster that was made with XPK. XPK puts what is committed into an image.
  up      submit, wait, delete
  submit  creates the workload; the cluster starts it again after preemption
  wait    waits until it has ended; Ctrl-C ends the waiting only
  delete  deletes the workload"
COMMANDS=(up submit wait delete)
option name lwlrd "of the workload"
option cluster "" "that XPK knows"
option zone "" "of the cluster; default: gcloud's own"
option project "" "default: gcloud's own"
option tpu-type "" "such as v5litepod-16"
switch spot "on nodes that cost less and may be taken away"
option image python:3.12 "on which XPK puts what is committed"
option max-restarts 20 "how often the workload is started again"
option create-flags "" "further flags of xpk workload create, separated by spaces: --create-flags=--priority=high"
environment_options . tpu
parse "$@"
need cluster
need_name
need_whole_numbers max-restarts
NAME=${OPT[name]}
AT=("--cluster=${OPT[cluster]}" ${OPT[zone]:+"--zone=${OPT[zone]}"} ${OPT[project]:+"--project=${OPT[project]}"})

submit() {
  local flags
  read -ra flags <<<"${OPT[create-flags]}"
  entry launch/entry.sh LWLRD_DISTRIBUTED=1
  pack
  run rm -rf "$STAGE/lwlrd-launch"
  run tar -xzf "$ARCHIVE" "--directory=$STAGE"
  # XPK starts again what ends with 127 or more; 75 has to be asked for. With exec its SIGTERM reaches the sweep.
  run xpk workload create "--workload=$NAME" "${AT[@]}" "--tpu-type=${OPT[tpu-type]}" ${OPT[spot]:+--spot} \
    "--base-docker-image=${OPT[image]}" "--script-dir=$STAGE/lwlrd-launch" "--max-restarts=${OPT[max-restarts]}" \
    --restart-on-exit-codes=75 --termination-grace-period-seconds=120 "${flags[@]}" \
    "--command=exec $(quoted "${ENTRY[@]}")"
}

wait_for_end() {
  run xpk workload list "${AT[@]}" "--wait-for-job-completion=$NAME"
}

delete() {
  run xpk workload delete "--workload=$NAME" "${AT[@]}" --force
}

trap 'say "$NAME stays in the cluster as it is: $ME wait, $ME delete"; exit 130' INT
if [[ $COMMAND == up || $COMMAND == submit ]]; then
  need tpu-type
  need_out shared
fi
case $COMMAND in
  up)
    submit
    wait_for_end
    delete
    ;;
  submit) submit ;;
  wait) wait_for_end ;;
  delete) delete ;;
esac
