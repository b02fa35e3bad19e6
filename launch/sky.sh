#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Runs a sweep as a managed job of SkyPilot, on whatever cloud it is set up for; after a preemption SkyPilot finds
another machine and goes on.
  up      launches the job and shows what it says; Ctrl-C ends the showing only
  delete  cancels the job"
COMMANDS=(up delete)
option name lwlrd "of the job"
option gpus "" "kind and number a node, such as A100:8 or tpu-v5litepod-8"
option infra "" "cloud, region or zone, such as gcp/us-central1; default: the cheapest"
option num-nodes 1 "machines"
switch on-demand "machines that cannot be taken away, instead of spot ones"
switch detach "return once the job is submitted"
environment_options . cuda
parse "$@"
need_name
need_whole_numbers num-nodes

case $COMMAND in
  up)
    need gpus
    need_out shared
    settings "LWLRD_SWEEP=$(quoted "${SWEEP[@]}")"
    spot=--use-spot
    [[ -z ${OPT[on-demand]} ]] || spot=--no-use-spot
    run sky jobs launch "--name=${OPT[name]}" --yes ${OPT[detach]:+--detach-run} "--workdir=$ROOT" \
      "--gpus=${OPT[gpus]}" ${OPT[infra]:+"--infra=${OPT[infra]}"} "--num-nodes=${OPT[num-nodes]}" "$spot" \
      "${SETTINGS[@]/#/--env=}" "$ROOT/launch/skypilot.yaml"
    ;;
  delete) run sky jobs cancel "--name=${OPT[name]}" --yes ;;
esac
