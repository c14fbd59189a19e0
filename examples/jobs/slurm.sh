#!/bin/bash
# A run under Slurm that outlives its time limit and preemption: sbatch slurm.sh CONFIG
#
# 300 s before the time limit Slurm sends USR1 to this script, which asks rtune to finish its step and save; where
# PreemptParameters has send_user_signal, so it does before a preemption. Then the job is queued again, and goes on from
# the newest whole checkpoint. `rtune` stands on the PATH; CONFIG, base, data and output lie on a file system that every
# node has.

#SBATCH --job-name=rtune
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
## For a GPU, without the first #: the configuration's `model.device` finds it.
##SBATCH --gpus=1

set -u
config=${1:?"usage: sbatch slurm.sh CONFIG"}
# Compute nodes are mostly without a network: fetch the base before, by `rtune pull`.
export HF_HUB_OFFLINE=1

# A run that has not begun begins; one that has goes on.
rtune train "$config" --resume &
run=$!

# `wait` ends when a signal comes, so it is called again until the run has ended.
interrupted=yes
trap 'interrupted=yes; kill -TERM "$run"' USR1
# At the end Slurm sends TERM to all processes of the job. A second one would end rtune before it has saved.
trap 'interrupted=yes' TERM
while [ "$interrupted" = yes ]; do
    interrupted=no
    wait "$run"
    code=$?
done

# 130 and 143: stopped and saved. 2 is a mistake in configuration or data, which another attempt does not mend.
if [ "$code" -eq 130 ] || [ "$code" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
