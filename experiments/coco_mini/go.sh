#!/usr/bin/env bash
# A training in calls that know nothing of each other, on a machine that keeps nothing.
#
#   experiments/coco_mini/go.sh join PARTS      the data and the weights, of parts.py
#   experiments/coco_mini/go.sh data            splits, crowds, and their preparation
#   experiments/coco_mini/go.sh train SECONDS [--config.X=Y ...]
#                                               begins or goes on, and waits so long
#   experiments/coco_mini/go.sh wait SECONDS    waits for its end, and shows the log's
#   experiments/coco_mini/go.sh stop            ends it when it has saved
#   experiments/coco_mini/go.sh home OUT        OUT/parts: the network in bfloat16;
#                                               OUT/text.tar.gz: what the run tells
#
# Each may be called again, and does what is left to do. The training is in a session of
# its own and outlives the call. `data` takes --config.X=Y, too. What the environment may
# say otherwise: B, the folder of all that is made; R and WEIGHTS, as `join` leaves them
# in it; RUN, the workdir; CONFIG; STEP=best for `home`; NUMBER of pasted pictures;
# HELD_OUT pictures to choose by; MIB of a part; and PYTHON.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "${B:=big}"
B=$(cd "$B" && pwd)
: "${R:=$B/coco_persons_mini}" "${RUN:=$B/run}" "${PYTHON:=python3}"
: "${WEIGHTS:=$B/resnet50_v1_imagenet_stem_layer1-3.safetensors}"
: "${CONFIG:=$root/configs/coco_mini.py}" "${MIB:=15}"
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$B/compiled}
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.9}
config=(--config="$CONFIG" --config.data.root="$B/P"
  --config.data.prepared_dir="$B/prepared" --config.model.pretrained="$WEIGHTS")

say() { echo "go.sh: $*"; }

fail() {
  say "$*" >&2
  exit 1
}

seconds() {
  [[ ${1-} =~ ^[0-9]+$ ]] || fail "how many seconds? As in: $stage 500"
}

# A process that has ended and that nobody has asked for has no command line any more.
is_running() {
  [[ ! -e $B/status && -s $B/pid ]] &&
    grep -qsa poseseg_jax.main "/proc/$(<"$B/pid")/cmdline"
}

# Waits for the end of the training, so many seconds at most, and says how it stands.
await() {
  local end=$((SECONDS + $1))
  while is_running && ((SECONDS < end)); do sleep 1; done
  tail -n 15 "$B/log" || fail "nothing has been trained in $B"
  is_running || [[ -e $B/status ]] || sleep 2 # it may be about to say so
  if is_running; then
    say "the training goes on, and so does \`wait\`"
  else
    case $(cat "$B/status" 2>/dev/null || echo none) in
      0) say "the training is finished" ;;
      143) say "the training was stopped, and saved its step; \`train\` goes on" ;;
      none) fail "the training was killed; \`train\` goes on from its checkpoint" ;;
      *) fail "the training failed with status $(<"$B/status"); see $B/log" ;;
    esac
  fi
}

train() {
  if ! is_running; then
    rm -f "$B/status" "$B/pid"
    # shellcheck disable=SC2016  # for the inner shell
    setsid nohup bash -c '"$@" & echo $! >"$0/pid"; wait $!; echo $? >"$0/status"' "$B" \
      "$PYTHON" -m poseseg_jax.main --workdir="$RUN" "${config[@]}" "$@" \
      >>"$B/log" 2>&1 </dev/null &
    sleep 2 # until it has its name
  fi
}

data() {
  [[ -e $B/S ]] || "$PYTHON" -m experiments.coco_mini.splits --root="$R" --output="$B/S" \
    --pictures="$R/annotations/val2017_unseen_by_peers.txt" \
    --held_out="${HELD_OUT:-200}"
  [[ -e $B/P ]] || "$PYTHON" -m experiments.coco_mini.paste --root="$B/S" \
    --output="$B/P" ${NUMBER:+--number="$NUMBER"}
  # Whoever asks first for a record of them prepares them all: here, no training waits.
  JAX_PLATFORMS=cpu "$PYTHON" -m poseseg_jax.data.inspect --pictures=0 \
    --output="$B/inspected" "${config[@]}" "$@"
}

home() {
  local out=$1 half
  mkdir -p "$out"
  half=$(mktemp -d "$B/home.XXXXXX")
  # shellcheck disable=SC2064  # now, while it has its name
  trap "rm -rf '$half'" EXIT
  mkdir "$half/text"
  local path
  for path in "$B/log" "$B/S/splits.json" "$B/P/paste.json" "$B/inspected"/statistics.* \
    "$RUN"/{config.json,metrics.json,metrics.jsonl,per_picture.csv} \
    "$RUN"/results_*.json "$RUN"/events.*; do
    [[ ! -f $path ]] || cp "$path" "$half/text"
  done
  tar -czf "$out/text.tar.gz" -C "$half" text
  # Beside a training, which has the GPU.
  JAX_PLATFORMS=cpu "$PYTHON" -m poseseg_jax.export --workdir="$RUN" \
    --output="$half/model" --format=safetensors --dtype=bfloat16 ${STEP:+--step="$STEP"}
  rm -rf "$out/parts"
  "$PYTHON" -m experiments.coco_mini.parts pack "$half/model" --output="$out/parts" \
    --size_mib="$MIB"
}

stage=${1-}
shift || true
case $stage in
  join)
    (($# == 1)) || fail "which parts? As in: join parts"
    if [[ -e $R && -e $WEIGHTS ]]; then
      say "$R and $WEIGHTS are there already"
    else
      "$PYTHON" -m experiments.coco_mini.parts join "$1" --output="$B"
    fi
    ;;
  data) data "$@" ;;
  train)
    seconds "${1-}"
    train "${@:2}"
    await "$1"
    ;;
  wait)
    seconds "${1-}"
    await "$1"
    ;;
  stop)
    ! is_running || kill -TERM "$(<"$B/pid")"
    await 300
    ;;
  home)
    (($# == 1)) || fail "where to? As in: home out"
    home "$1"
    ;;
  *) fail "which stage? join, data, train, wait, stop or home; its first lines say more" ;;
esac
