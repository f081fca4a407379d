"""Whether this process was started by an MPI launcher, told by its environment alone: nothing is imported."""

import os

SWITCH = "BPROP_MPI"  # 0: never use MPI
SIZES = (
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "MPI_LOCALNRANKS",
)  # Open MPI; MPICH, Intel; MVAPICH
SLURM = "PMIX_RANK", "SLURM_STEP_NUM_TASKS"  # srun --mpi=pmix


def count_ranks() -> int:
    """Count the ranks of the job that an MPI launcher has started; 1 without one."""
    if os.environ.get(SWITCH) == "0":
        return 1
    values = [os.environ.get(name, "") for name in SIZES]
    values += [os.environ.get(SLURM[1], "")] if SLURM[0] in os.environ else []
    return next((int(value) for value in values if value.isdecimal() and int(value) > 0), 1)


def find_rank() -> int:
    """Find the rank of this process by its environment; 0 without a launcher."""
    names = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 0)
