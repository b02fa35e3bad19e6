#!/usr/bin/env bash
# The batch script that slurm.sh submits: slurm_job.sh MAX_RESTARTS COMMAND... runs the command as every task, and
# queues the job again where it was stopped by a signal (143) or failed for now (75). scancel ends this script too, so
# that what is cancelled stays so; what Slurm preempts it queues again by itself.
set -euo pipefail

max_restarts=$1
code=0
# Every task sees all GPUs of its node: JAX chooses by the task's number. Tasks that are still saving are left to.
srun --kill-on-bad-exit=0 --gpu-bind=none "${@:2}" || code=$?
if [[ $code == 75 || $code == 143 ]]; then
  if ((${SLURM_RESTART_COUNT:-0} < max_restarts)); then
    echo "ended with $code; queued again" >&2
    exec scontrol requeue "$SLURM_JOB_ID"
  fi
  echo "ended with $code, and was queued again $max_restarts times already" >&2
fi
exit "$code"
