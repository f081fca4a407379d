"""A process of a sweep ends with the sweep, however that ends, so that none goes on unseen."""

import os
import signal
import threading
import time

PARENT = "BPROP_PARENT"  # the variable by which a sweep tells its processes who it is
PATIENCE = 0.2  # seconds between two looks


def start_parent_watchdog() -> None:
    """If a sweep has started this process: interrupt it when that is no more, so that it leaves a folder to resume."""
    parent = os.environ.pop(PARENT, None)
    if parent is None or os.name != "posix":
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background may have had it ignored
    threading.Thread(target=interrupt_when_orphaned, args=(int(parent),), daemon=True).start()


def interrupt_when_orphaned(parent: int) -> None:
    """Interrupt the main thread when this process has another parent."""
    while os.getppid() == parent:
        time.sleep(PATIENCE)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
