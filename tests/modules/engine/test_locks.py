"""Groups of objects that share a lock."""

from bprop.modules.engine.locks import ObjectLock, join_locks


class Owner:
    """Something that has a lock, such as a model or an optimizer."""

    def __init__(self):
        self._lock = ObjectLock()


def test_all_members_of_joined_groups_have_one_lock():
    owners = [Owner() for _ in range(6)]
    for first, second in ((0, 1), (2, 3), (4, 5), (3, 5), (0, 2), (1, 4)):
        join_locks(owners[first], owners[second])
    assert len({id(owner._lock.shared) for owner in owners}) == 1
    assert {reference() for reference in owners[0]._lock.shared.members} == {owner._lock for owner in owners}


def test_members_that_are_gone_are_left_out():
    """As a model that many optimizers train one after the other."""
    model = Owner()
    for _ in range(100):
        optimizer = Owner()
        join_locks(model, optimizer)
    assert optimizer._lock.shared is model._lock.shared
    assert len(model._lock.shared.members) < 20
