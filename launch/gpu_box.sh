#!/usr/bin/env bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABOUT="Runs a sweep on this machine, on all of its GPUs, and starts it again where it ends early: stopped by a signal
that was not sent to this script (143), or with a temporary failure (75). Ctrl-C, and kill, let it save and end."
environment_options "$ROOT" cuda
option log "" "go on in the background, and append what the sweep says to this file"
option max-restarts 20 "how often it is started again"
option poll 10 "seconds before it is"
parse "$@"
need_whole_numbers max-restarts poll
need_out any
entry "$ROOT/launch/entry.sh"

attempt() {
  local code restarts=0
  trap 'stop_child; exit 130' INT
  trap 'stop_child; exit 143' TERM
  while :; do
    code=0
    attend "${ENTRY[@]}" || code=$?
    [[ $code == 75 || $code == 143 ]] || return "$code"
    if ((++restarts > OPT[max-restarts])); then
      say "ended with $code, and was started again ${OPT[max-restarts]} times already"
      return "$code"
    fi
    say "ended with $code; starting it again ($restarts of ${OPT[max-restarts]})"
    pause "${OPT[poll]}"
  done
}

if [[ ${OPT[log]} && ! ${OPT[dry-run]} ]]; then
  (
    trap '' HUP # closing the terminal is no reason to end
    attempt
    # 3 too: ssh waits for what has its terminal open.
  ) </dev/null >>"${OPT[log]}" 2>&1 3>&- &
  say "process $! writes to ${OPT[log]}; kill $! stops it after saving"
else
  attempt
fi
