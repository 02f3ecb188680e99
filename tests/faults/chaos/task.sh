#!/bin/sh
# What jobs of a chaos run do: task.sh LEDGER NAME STEPS EXIT_CODE [stubborn]
# Each attempt says in the ledger that it began and that it ended, with the name that it was given; keeps its
# step in the checkpoint folder and goes on from there; and writes lines into its log that no other job writes.
# A checkpoint of another job, or a folder that another left, is said in the ledger.
# One that is stubborn does not end on SIGTERM.
ledger=$1 name=$2 steps=$3 code=$4
say() {
  read -r now _ </proc/uptime
  echo "$1 $now $name $ALLOT_JOB_ID $ALLOT_ATTEMPT $ALLOT_TASK_RANK $$ $ALLOT_NODE ${ALLOT_SCRATCH_DIR##*/} $2" >>"$ledger"
}
say start -
echo "line of $name: start, attempt $ALLOT_ATTEMPT"
own=$ALLOT_CHECKPOINT_DIR/step-$ALLOT_TASK_RANK
i=0
if [ -e "$own" ]; then
  read -r whose i <"$own"
  [ "$whose" = "$name" ] || { say alien "$whose"; i=0; }
fi
for other in "$ALLOT_CHECKPOINT_DIR"/of-*; do
  [ ! -e "$other" ] || [ "$other" = "$ALLOT_CHECKPOINT_DIR/of-$name" ] || say alien "${other##*/of-}"
done
: >"$ALLOT_CHECKPOINT_DIR/of-$name"
while [ "$i" -lt "$steps" ]; do
  sleep 0.25
  i=$((i + 1))
  echo "$name $i" >"$own.$$" && mv "$own.$$" "$own"
  echo "line of $name: step $i"
done
echo "line of $name: end"
say end "$code"
exit "$code"
