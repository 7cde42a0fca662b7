#!/usr/bin/env bash
# A training in calls that know nothing of each other, on a machine that keeps nothing.
#
#   experiments/coco_mini/go.sh join PARTS      the data and the weights, of parts.py
#   experiments/coco_mini/go.sh data            splits, crowds, and their preparation
#   experiments/coco_mini/go.sh train SECONDS [--config.X=Y ...]
#                                               begins or goes on, and waits so long
#   experiments/coco_mini/go.sh wait SECONDS    waits for its end, and shows the log's
#   experiments/coco_mini/go.sh stop            asks it to save and to end, and waits
#   experiments/coco_mini/go.sh home OUT        OUT/network: the network in bfloat16, in
#                                               parts; OUT/text.tar.gz: what it tells
#
# Each may be called again, and does what is left to do. The training is in a session of
# its own and outlives the call. `data` takes --config.X=Y, too. What the environment may
# say otherwise: B, the folder of all that is made; R and WEIGHTS, as `join` leaves them
# in it; RUN, the workdir; CONFIG; STEP=best for `home`; NUMBER of pasted pictures;
# HELD_OUT pictures to choose by; MIB of a part; and PYTHON.
set -euo pipefail
unset CDPATH # with which cd would talk

say() { echo "go.sh: $*"; }

fail() {
  say "$*" >&2
  exit 1
}

stage=${1-}
shift || true
case $stage in
  join | data | train | wait | stop | home) ;;
  *) fail "which stage? join, data, train, wait, stop or home; its first lines say more" ;;
esac

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

seconds() {
  [[ ${1-} =~ ^[0-9]+$ ]] || fail "how many seconds? As in: $stage 500"
}

# What the training ended with, if it did.
status() { cat "$B/status.$(cat "$B/pid" 2>/dev/null)" 2>/dev/null || true; }

# Its number may be another's by now, and whoever has ended has no command line.
is_running() {
  [[ -s $B/pid && -z $(status) ]] &&
    grep -qsaF -- "--config.data.root=$B/P" "/proc/$(<"$B/pid")/cmdline"
}

# Waits for the end of the training, so many seconds at most, and says how it stands.
await() {
  local end=$((SECONDS + $1))
  while is_running && ((SECONDS < end)); do sleep 1; done
  tail -n 15 "$B/log" || fail "nothing has been trained in $B"
  is_running || [[ -n $(status) ]] || sleep 2 # it may be about to say so
  if is_running; then
    say "the training goes on, and so does \`wait\`"
  else
    case $(status) in
      0) say "the training is finished" ;;
      143) say "the training was stopped; its log says what it saved. \`train\` goes on" ;;
      137 | "") fail "the training was killed; \`train\` goes on from its checkpoint" ;;
      *) fail "the training failed with status $(status); see $B/log" ;;
    esac
  fi
}

train() {
  local wanted
  wanted=$(printf '%q ' "RUN=$RUN" "CONFIG=$CONFIG" "$@")
  if is_running; then
    [[ $(<"$B/wanted") == "$wanted" ]] ||
      fail "a training is at work, with $(<"$B/wanted"); \`stop\` it first"
  else
    rm -f "$B"/status.* "$B/pid" "$B/asked"
    echo "$wanted" >"$B/wanted"
    # shellcheck disable=SC2016  # for the inner shell
    setsid nohup bash -c \
      '"$@" & echo $! >"$0/pid"; wait $!; echo $? >"$0/status.$!"' "$B" \
      "$PYTHON" -m poseseg_jax.main --workdir="$RUN" "${config[@]}" "$@" \
      >>"$B/log" 2>&1 </dev/null &
    sleep 2 # until it has its name
  fi
}

stop() {
  # Once: at a second signal it ends at once, and saves nothing.
  if is_running && [[ ! -e $B/asked ]]; then
    touch "$B/asked"
    kill -TERM "$(<"$B/pid")" || true # it may just have ended
  fi
  await 300
  ! is_running || fail "it is about to end; \`stop\` again waits, and asks no second time"
}

data() {
  if [[ -e $B/S ]]; then
    say "$B/S is there, and stays as it is"
  else
    "$PYTHON" -m experiments.coco_mini.splits --root="$R" --output="$B/S" \
      --pictures="$R/annotations/val2017_unseen_by_peers.txt" \
      --held_out="${HELD_OUT:-200}"
  fi
  if [[ -e $B/P ]]; then
    say "$B/P is there, and stays as it is"
    [[ -z ${NUMBER-} ]] || grep -q "\"made\": $NUMBER," "$B/P/paste.json" ||
      fail "NUMBER is $NUMBER, and $B/P/paste.json says otherwise; take another B"
  else
    "$PYTHON" -m experiments.coco_mini.paste --root="$B/S" \
      --output="$B/P" ${NUMBER:+--number="$NUMBER"}
  fi
  # Whoever asks first for a record of them prepares them all: here, no training waits.
  JAX_PLATFORMS=cpu "$PYTHON" -m poseseg_jax.data.inspect --pictures=0 \
    --output="$B/inspected" "${config[@]}" "$@"
}

home() {
  local out=$1 path
  half=$(mktemp -d "$B/home.XXXXXX")
  trap 'rm -rf "$half"' EXIT
  mkdir "$half/text"
  for path in "$B/log" "$B/S/splits.json" "$B/P/paste.json" "$B/inspected"/statistics.* \
    "$RUN"/{config.json,metrics.json,metrics.jsonl,per_picture.csv} \
    "$RUN"/results_*.json "$RUN"/events.*; do
    [[ ! -f $path ]] || cp "$path" "$half/text"
  done
  tar -czf "$half/text.tar.gz" -C "$half" text
  # Beside a training, which has the GPU.
  JAX_PLATFORMS=cpu "$PYTHON" -m poseseg_jax.export --workdir="$RUN" \
    --output="$half/model" --format=safetensors --dtype=bfloat16 ${STEP:+--step="$STEP"}
  "$PYTHON" -m experiments.coco_mini.parts pack "$half/model" --output="$half/network" \
    --size_mib="$MIB"
  # What was brought before stays until all is here.
  mkdir -p "$out"
  rm -rf "$out/network"
  mv "$half/network" "$half/text.tar.gz" "$out"
}

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
  stop) stop ;;
  home)
    (($# == 1)) || fail "where to? As in: home out"
    home "$1"
    ;;
esac
