"""The ranks that an MPI launcher has started: found by the environment, connected when they are first needed."""

from functools import cache
from typing import Any

from .communicator import Ranks
from .ending import end_all_by_hook
from .launcher import count_ranks, find_rank
from .watchdog import RankError

INSTALL = "pip install 'bprop[mpi]'"


@cache
def connect() -> Ranks:
    """Connect to the ranks of this job, once; an error that nobody catches then ends all of them.

    Errors: ImportError without mpi4py or an MPI; RankError where mpiexec is of another MPI than mpi4py has loaded.
    """
    count = count_ranks()
    try:
        import mpi4py

        mpi4py.rc.thread_level = "serialized"
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"mpiexec has started {count} ranks, but there is no MPI: {INSTALL} ({error})") from None
    ranks = Ranks(MPI.COMM_WORLD)
    if (ranks.size, ranks.rank) != (count, find_rank()):
        library = MPI.Get_library_version().splitlines()[0].strip()
        raise RankError(
            f"mpiexec has started {count} ranks, but MPI knows {ranks.size}: mpiexec is of another MPI than the one "
            f"that mpi4py has loaded, which is {library}"
        )
    end_all_by_hook(ranks)
    return ranks


def find_ranks(communicator: Any = None) -> Ranks | None:
    """Find the ranks of a training: those of a communicator, or of the job; None for a process on its own.

    Args: communicator: of mpi4py, or Ranks; None for the job that an MPI launcher has started, if any; False for none.
    Errors: TypeError for what is no communicator; those of `connect`.
    """
    if communicator is False:
        return None
    if communicator is None:
        return connect() if count_ranks() > 1 else None
    if not isinstance(communicator, Ranks):
        if any(not hasattr(communicator, name) for name in ("Dup", "Isend", "Irecv", "Abort", "size")):
            raise TypeError(f"Trainer: communicator is {type(communicator).__name__}, expected one of mpi4py, or False")
        if communicator.size == 1:
            return None
        communicator = join(communicator)
    return communicator if communicator.size > 1 else None


def join(communicator: Any) -> Ranks:
    """The ranks of a communicator of mpi4py, one and the same for all trainings on it; they end all as `connect` says.

    It is kept as an attribute of the communicator, since an MPI has no more than some thousand of duplicates.
    """
    key = make_key()
    ranks = communicator.Get_attr(key)
    if ranks is None:
        ranks = Ranks(communicator)
        communicator.Set_attr(key, ranks)
        end_all_by_hook(ranks)
    return ranks


@cache
def make_key() -> int:
    """Make the key of the attribute, once."""
    from mpi4py import MPI

    return int(MPI.Comm.Create_keyval())
