"""The parent watchdog: a process of a sweep ends when the sweep does, however that ends."""

import os
import signal
import threading
import time

PARENT = "BPROP_PARENT"  # the variable by which a sweep tells its processes who it is
PATIENCE = 0.2  # seconds between two looks


def start_parent_watchdog() -> None:
    """Start the watchdog in a process of a sweep: it interrupts the process when the sweep is gone."""
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
