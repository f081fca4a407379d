"""Locks of models: one for all objects that share memory, such as models with tied weights and their optimizer.

Compiled code stores a module's arrays in its state block, so one thread at a time may run a model. Whoever runs it, or
reads its state, acquires its lock, which takes 0.35 us when it is free.
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

YIELD_SECONDS = 0.0005  # how long a thread that has just used a model sleeps for a waiting one
FORK_SECONDS = 60.0  # how long a fork waits, at most, for other threads to leave compiled code


class SharedLock:
    """The re-entrant lock of a group of objects, and which threads train them."""

    __slots__ = ("__weakref__", "lock", "members", "room", "trainings", "was_requested")

    def __init__(self, member: "ObjectLock"):
        self.lock = threading.RLock()
        self.was_requested = False  # whether a thread has requested the lock since this was last set to False
        self.members = [weakref.ref(member)]
        self.room = 8  # members, from which on those that are gone are left out
        self.trainings: dict[Any, tuple[int, str]] = {}  # a model or optimizer: the thread in whose `fit` it is
        _locks.add(self)

    def take_members(self, other: "SharedLock") -> None:
        """Make the members of another lock members of this one."""
        for reference in other.members:
            member = reference()
            if member is not None:
                member.shared = self
                self.members.append(reference)
        if len(self.members) > self.room:
            self.members = [reference for reference in self.members if reference() is not None]
            self.room = max(8, 2 * len(self.members))


class ObjectLock:
    """An object's reference to its lock, `shared`, which changes when groups are joined."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self):
        self.shared = SharedLock(self)


_locks: weakref.WeakSet[SharedLock] = weakref.WeakSet()
_joining = threading.Lock()


@contextlib.contextmanager
def locked(owner) -> Iterator[None]:
    """Context in which no other thread runs `owner`, or an object that shares memory with it."""
    shared = owner._lock.shared
    shared.was_requested = True
    with shared.lock:
        if shared is owner._lock.shared:
            yield
        else:  # it has joined others while this thread waited
            with locked(owner):
                yield


def exclusive(function: F) -> F:
    """Decorate a function of a model, its first argument, so that it runs while no other thread runs the model."""

    @functools.wraps(function)
    def run_alone(net, *arguments, **settings):
        with locked(net):
            return function(net, *arguments, **settings)

    return cast(F, run_alone)


@contextlib.contextmanager
def locked_for_long(owner) -> Iterator[None]:
    """As `locked`, for repeated long use: in between, a waiting thread gets the lock.

    A lock that is released and acquired again at once would go to no other thread, however long it has waited.
    """
    with locked(owner):
        shared = owner._lock.shared
        shared.was_requested = False
        yield
    if shared.was_requested and not shared.lock._is_owned():
        time.sleep(YIELD_SECONDS)


def join_locks(owner, other) -> None:
    """Join the groups of two objects, for good: all their members then share one lock."""
    mine, theirs = owner._lock, other._lock
    while mine.shared is not theirs.shared:
        larger, left = mine.shared, theirs.shared
        if len(larger.members) < len(left.members):
            larger, left = left, larger
        with left.lock, _joining:
            if {larger, left} == {mine.shared, theirs.shared}:
                larger.trainings |= left.trainings
                larger.take_members(left)


# -- what only the training thread may do -----------------------------------------------------------------------------


@contextlib.contextmanager
def training(net, optimizer) -> Iterator[None]:
    """Context in which other threads may not disturb a training of the two.

    Errors: RuntimeError if another thread trains one of them.
    """
    claimed = [find_root(net), optimizer]
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
    """Decorate a method of a trainer, so that it runs within `training` of its model and optimizer."""

    @functools.wraps(fit)
    def fit_alone(self, *arguments, **settings):
        with training(self.model, self.optimizer):
            return fit(self, *arguments, **settings)

    return cast(F, fit_alone)


def find_root(owner):
    """Find the root of the module hierarchy that an object is in."""
    while owner.parent is not None:
        owner = owner.parent
    return owner


def find_other_training(owner) -> str | None:
    """Find the name of another thread whose `fit` trains the object; None if there is none."""
    me = threading.get_ident()
    for trained, (thread, name) in owner._lock.shared.trainings.items():
        if thread != me and owner.shares_memory_with(trained):
            return name
    return None


def refuse_during_fit(owner, what: str, hint: str = "expected one of them at a time") -> None:
    """Raise RuntimeError if another thread is training this object."""
    if owner._lock.shared.trainings and (name := find_other_training(owner)) is not None:
        raise RuntimeError(f"{owner.label()}: {what} while a Trainer's fit in thread {name!r} trains it, {hint}")


# -- forks: the child has one thread, and locks that other threads held would stay locked ------------------------------

_fork_locks: list = []


def acquire_before_fork() -> None:
    """Acquire all locks before a fork, so that no other thread is in compiled code."""
    end = time.monotonic() + FORK_SECONDS
    while (busy := acquire_all_locks()) is not None and time.monotonic() < end:
        if busy.acquire(timeout=max(0.0, end - time.monotonic())):
            busy.release()
    _joining.acquire()


def acquire_all_locks():
    """Acquire all locks and return None; or none, and return one that another thread holds."""
    for shared in list(_locks):
        if not shared.lock.acquire(blocking=False):
            release_locks()
            return shared.lock
        _fork_locks.append(shared.lock)
    return None


def release_locks() -> None:
    """Release the locks that were acquired for a fork."""
    while _fork_locks:
        _fork_locks.pop().release()


def release_after_fork() -> None:
    """Release all locks, in the parent process."""
    _joining.release()
    release_locks()


def renew_after_fork() -> None:
    """Replace locks that other threads held, and forget their trainings, in the child process."""
    me, locked_ids = threading.get_ident(), {id(lock) for lock in _fork_locks}
    release_after_fork()
    for shared in list(_locks):
        if id(shared.lock) not in locked_ids:
            shared.lock = threading.RLock()
        shared.trainings = {each: claim for each, claim in shared.trainings.items() if claim[0] == me}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=acquire_before_fork, after_in_parent=release_after_fork, after_in_child=renew_after_fork)
