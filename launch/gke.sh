#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Runs a sweep on a GKE cluster that has JobSet, on a TPU slice or on nodes with GPUs. The cluster starts it again.
  up      submit, wait, delete
  submit  sends what is committed as a ConfigMap, and starts the JobSet
  wait    waits until the JobSet has ended; Ctrl-C ends the waiting only
  delete  deletes both, and with them the pods' logs"
COMMANDS=(up submit wait delete)
option name lwlrd "of the JobSet and its ConfigMap"
option context "" "of kubectl; default: the current one"
option namespace default "of the cluster"
option tpu "" "value of the nodes' label gke-tpu-accelerator, such as tpu-v5-lite-podslice"
option topology "" "of the TPU slice, such as 4x4"
option gpu "" "instead: value of the nodes' label gke-accelerator, such as nvidia-h100-80gb"
option hosts 1 "nodes of the slice, or nodes with GPUs"
option chips 4 "TPU chips or GPUs of a node"
switch spot "on nodes that cost less and may be taken away"
option image python:3.12-slim "what runs it: Linux with bash, flock and Python 3.11 or later"
option service-account default "Kubernetes service account, for the right of writing to gs://"
environment_options . ""
option max-restarts 20 "how often crashes are started again; preemptions are always"
option deadline 604800 "seconds that one start may take"
option poll 30 "seconds between two looks at the JobSet"
parse "$@"
need_name
need_whole_numbers hosts chips max-restarts deadline poll
NAME=${OPT[name]}
KUBECTL=(kubectl ${OPT[context]:+"--context=${OPT[context]}"} "--namespace=${OPT[namespace]}")

submit() {
  local chip=tpu
  [[ -z ${OPT[gpu]} ]] || chip=gpu
  [[ ${OPT[extras]} ]] || OPT[extras]=${chip/gpu/cuda}
  settings
  pack
  run python3 "$ROOT/launch/gke/render.py" "--chip=$chip" "--name=$NAME" "--type=${OPT[$chip]}" \
    ${OPT[topology]:+"--topology=${OPT[topology]}"} "--hosts=${OPT[hosts]}" "--chips=${OPT[chips]}" \
    ${OPT[spot]:+--spot} "--image=${OPT[image]}" "--service-account=${OPT[service-account]}" \
    "--max-restarts=${OPT[max-restarts]}" "--deadline=${OPT[deadline]}" "${SETTINGS[@]/#/--env=}" \
    "--output=$STAGE/jobset.yaml" -- "${SWEEP[@]}"
  # Fails where one of that name is there: it may be running.
  run "${KUBECTL[@]}" create configmap "$NAME" "--from-file=source.tar.gz=$ARCHIVE"
  run "${KUBECTL[@]}" apply "--filename=$STAGE/jobset.yaml"
}

wait_for_end() {
  local conditions reason failures=0
  while :; do
    conditions=$(ask Completed "${KUBECTL[@]}" get jobset "$NAME" \
      '--output=jsonpath={.status.conditions[?(@.status=="True")].type}') && failures=0 || conditions=unknown
    case " $conditions " in
      *" Completed "*) return 0 ;;
      *" Failed "*) break ;;
      *" unknown "*)
        if ((++failures == 10)); then
          say "$NAME: asked ten times without an answer"
          return 1
        fi
        ;;
    esac
    pause "${OPT[poll]}"
  done
  reason=$("${KUBECTL[@]}" get jobset "$NAME" \
    '--output=jsonpath={.status.conditions[?(@.type=="Failed")].reason}') || true
  say "$NAME failed ($reason) and stays as it is until $ME delete; its last words:"
  "${KUBECTL[@]}" logs "--selector=jobset.sigs.k8s.io/jobset-name=$NAME" --tail=5 --prefix >&2 || true
  # Only the rule of jobset.yaml does that: a user's mistake, or the deadline.
  if [[ $reason == FailJobSetFailurePolicyAction ]]; then return 2; fi
  return 1
}

delete() {
  run "${KUBECTL[@]}" delete jobset "$NAME" --ignore-not-found
  run "${KUBECTL[@]}" delete configmap "$NAME" --ignore-not-found
}

trap 'stop_child; say "$NAME stays in the cluster as it is: $ME wait, $ME delete"; exit 130' INT
if [[ $COMMAND == up || $COMMAND == submit ]]; then
  [[ ${OPT[tpu]} || ${OPT[gpu]} ]] || need tpu
  [[ -z ${OPT[tpu]} || -z ${OPT[gpu]} ]] || mistake "--tpu and --gpu: one of them"
  [[ -z ${OPT[tpu]} ]] || need topology
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
