#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Submits a sweep to Slurm, one process a GPU. Shortly before its time limit, and when it is preempted, it saves,
and is queued again (slurm_job.sh)."
option name lwlrd "of the job"
option nodes 1 "to run on"
option gpus 1 "of each node; 0: one process a node, on its CPUs"
option time 24:00:00 "limit of one start"
option log "" "file of what the sweep says; default: NAME-JOB.log"
option sbatch-flags "" "further flags of sbatch, separated by spaces: --sbatch-flags='--partition=gpu --mem=64G'"
environment_options "$ROOT" cuda
option max-restarts 100 "how often the job is queued again"
parse "$@"
need_name
need_whole_numbers nodes gpus max-restarts
need_out any

tasks=$((OPT[gpus] > 0 ? OPT[gpus] : 1))
together=()
((OPT[nodes] * tasks == 1)) || together=(LWLRD_DISTRIBUTED=1)
if ((OPT[gpus] == 0)) && [[ ${OPT[extras]} == cuda ]]; then OPT[extras]=none; fi
entry "$ROOT/launch/entry.sh" "${together[@]}"
read -ra flags <<<"${OPT[sbatch-flags]}"
((OPT[gpus] == 0)) || flags=("--gpus-per-node=${OPT[gpus]}" "${flags[@]}")
# SIGTERM goes to the processes, not to the script that queues again. Slurm sends it up to a minute early.
run sbatch "--job-name=${OPT[name]}" "--nodes=${OPT[nodes]}" "--ntasks-per-node=$tasks" "--time=${OPT[time]}" \
  --requeue --signal=TERM@120 --open-mode=append "--output=${OPT[log]:-${OPT[name]}-%j.log}" "${flags[@]}" \
  "$ROOT/launch/slurm_job.sh" "${OPT[max-restarts]}" "${ENTRY[@]}"
