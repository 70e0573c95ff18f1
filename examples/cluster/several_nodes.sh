#!/bin/bash
# Several nodes, a process for each GPU; the run folder lies where all nodes see it. sbatch examples/cluster/several_nodes.sh
#SBATCH --job-name=mimicjax
#SBATCH --nodes=2
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
# two minutes before the time is up, or a node is wanted by others, the run saves itself
#SBATCH --signal=USR1@120
#SBATCH --output=%x-%j.txt
#SBATCH --open-mode=append

RUN=${RUN:-runs/push}
CONFIG=${CONFIG:-deepmimic_g1_push_gpu}

if [ -f "$RUN/config.yaml" ]; then
    FLAGS=(--resume "$RUN")
else
    FLAGS=(--config "$CONFIG" --num-envs auto --out "$RUN")
fi
# below srun the processes find each other; every one sees all GPUs of its node and takes the one of its own number
srun python -m mimicjax.train "${FLAGS[@]}" "$@"
code=$?
# 0: its budget is used up. 2: a mistake that another try does not mend. Whatever else ended it (130: a signal), it goes on from
# its last checkpoint when the job runs again
if [ "$code" -ne 0 ] && [ "$code" -ne 2 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
