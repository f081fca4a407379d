"""One lock for all that shares memory: a net, the nets that share its weights, and what trains them.

Compiled code keeps a module's arrays in the module's state block, so one thread at a time may run a net. Whatever runs
it, or reads what it has stored, takes its lock, which costs 0.35 us where nobody else has it.
"""

import contextlib
import functools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

WAY_SECONDS = 0.0005  # how long a thread that has just used a net stands aside for one that waits
FORK_SECONDS = 60.0  # how long a fork waits, at most, for other threads to leave compiled code


class SharedLock:
    """The re-entrant lock of a group of objects, and what is known of the threads that use them."""

    __slots__ = ("__weakref__", "lock", "members", "trainings", "wanted")

    def __init__(self):
        self.lock = threading.RLock()
        self.wanted = False  # whether a thread has come for the lock since this was last set to False
        self.members: weakref.WeakSet[ObjectLock] = weakref.WeakSet()
        self.trainings: dict[Any, tuple[int, str]] = {}  # a net or optimizer: the thread in whose `fit` it is
        _locks.add(self)


class ObjectLock:
    """What an object knows of its lock: `shared`, which becomes another one when it joins others."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self):
        self.shared = SharedLock()
        self.shared.members.add(self)


_locks: weakref.WeakSet[SharedLock] = weakref.WeakSet()
_joining = threading.Lock()


@contextlib.contextmanager
def locked(owner) -> Iterator[None]:
    """Within this context no other thread runs `owner`, or what shares memory with it."""
    shared = owner._lock.shared
    shared.wanted = True
    with shared.lock:
        if shared is owner._lock.shared:
            yield
        else:  # it has joined others while this thread waited
            with locked(owner):
                yield


def exclusive(function: F) -> F:
    """Let a function of a net, its first argument, run while no other thread runs the net."""

    @functools.wraps(function)
    def run_alone(net, *arguments, **settings):
        with locked(net):
            return function(net, *arguments, **settings)

    return cast(F, run_alone)


@contextlib.contextmanager
def locked_for_long(owner) -> Iterator[None]:
    """As `locked`, for one long use after the other: between them, a thread that has come meanwhile has its turn.

    A lock that is taken again at once goes to no one else, however long others have waited.
    """
    with locked(owner):
        shared = owner._lock.shared
        shared.wanted = False
        yield
    if shared.wanted and not shared.lock._is_owned():
        time.sleep(WAY_SECONDS)


def join_locks(owner, other) -> None:
    """Give two objects, and those that have a lock in common with either, one lock, for good."""
    mine, theirs = owner._lock, other._lock
    while mine.shared is not theirs.shared:
        larger, left = sorted((mine.shared, theirs.shared), key=lambda shared: len(shared.members), reverse=True)
        with left.lock, _joining:
            if {larger, left} == {mine.shared, theirs.shared}:
                larger.trainings |= left.trainings
                for member in list(left.members):
                    member.shared = larger
                    larger.members.add(member)


# -- what a training keeps for itself ---------------------------------------------------------------------------------


@contextlib.contextmanager
def training(net, optimizer) -> Iterator[None]:
    """Within this context, other threads are refused what would disturb a training of the two.

    Errors: RuntimeError if another thread trains one of them.
    """
    claimed = [root_of(net), optimizer]
    with locked(net):
        for each in (net, optimizer):
            refuse_during_fit(each, "fit")
        trainings = net._lock.shared.trainings
        before = {each: trainings[each] for each in claimed if each in trainings}
        trainings |= dict.fromkeys(claimed, (threading.get_ident(), threading.current_thread().name))
    try:
        yield
    finally:
        with locked(net):
            for each in claimed:
                net._lock.shared.trainings.pop(each, None)
            net._lock.shared.trainings.update(before)  # of a fit around this one, in the same thread


def training_alone(fit: F) -> F:
    """Let a method of a trainer run within `training` of its model and optimizer."""

    @functools.wraps(fit)
    def fit_alone(self, *arguments, **settings):
        with training(self.model, self.optimizer):
            return fit(self, *arguments, **settings)

    return cast(F, fit_alone)


def root_of(owner):
    """The whole net that an object stands in."""
    while owner.parent is not None:
        owner = owner.parent
    return owner


def find_other_training(owner) -> str | None:
    """The name of another thread in whose `fit` the object is; None if there is none."""
    me = threading.get_ident()
    for trained, (thread, name) in owner._lock.shared.trainings.items():
        if thread != me and owner.shares_memory_with(trained):
            return name
    return None


def refuse_during_fit(owner, what: str, hint: str = "expected one of them at a time") -> None:
    """RuntimeError if another thread trains this object just now."""
    if owner._lock.shared.trainings and (name := find_other_training(owner)) is not None:
        raise RuntimeError(f"{owner.label()}: {what} while a Trainer's fit in thread {name!r} trains it, {hint}")


# -- forks: the child has one thread, and whatever another one held or was about to write stays as it is ---------------

_held_for_fork: list = []


def hold_before_fork() -> None:
    """Wait until no other thread is in compiled code."""
    end = time.monotonic() + FORK_SECONDS
    while (busy := take_all()) is not None and time.monotonic() < end:
        if busy.acquire(timeout=max(0.0, end - time.monotonic())):
            busy.release()
    _joining.acquire()


def take_all():
    """Take all locks and return None; or take none, and return one that another thread has."""
    for shared in list(_locks):
        if not shared.lock.acquire(blocking=False):
            release_held()
            return shared.lock
        _held_for_fork.append(shared.lock)
    return None


def release_held() -> None:
    """Give back what was taken for a fork."""
    while _held_for_fork:
        _held_for_fork.pop().release()


def release_after_fork() -> None:
    """In the parent: go on."""
    _joining.release()
    release_held()


def renew_after_fork() -> None:
    """In the child: what other threads had is free, and they train nothing here."""
    me, locked_ids = threading.get_ident(), {id(lock) for lock in _held_for_fork}
    release_after_fork()
    for shared in list(_locks):
        if id(shared.lock) not in locked_ids:
            shared.lock = threading.RLock()
        shared.trainings = {each: claim for each, claim in shared.trainings.items() if claim[0] == me}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=hold_before_fork, after_in_parent=release_after_fork, after_in_child=renew_after_fork)
