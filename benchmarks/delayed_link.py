"""A link between two network namespaces with a rate and a delay: its packets pass through this process.

    python benchmarks/delayed_link.py bprop-a bprop-b --rate 1000 --delay 0.5      # Mbit/s, ms

For kernels without netem (`tc qdisc add ... netem delay`). The device is called `wire` in both; it has no address yet.
Needs root, and runs until it is ended.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import select
import struct
import time
from collections import deque

MTU = 65000
TUNSETIFF, TUN, NO_HEADER = 0x400454CA, 0x0001, 0x1000


def open_device(namespace: str, name: str) -> int:
    """Make a TUN device in a namespace, in which this process then is; returns its file."""
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), TUN | NO_HEADER))
    return device


class Direction:
    """Packets on their way: each leaves when those before it are on the link, and comes `delay` seconds later."""

    def __init__(self, source: int, target: int, rate: float, delay: float):
        self.source, self.target, self.rate, self.delay = source, target, rate, delay
        self.free, self.packets = 0.0, deque[tuple[float, bytes]]()

    def receive(self) -> None:
        """Take all packets that have come to the link."""
        while True:
            try:
                packet = os.read(self.source, MTU + 100)
            except BlockingIOError:
                return
            self.free = max(self.free, time.monotonic()) + len(packet) / self.rate
            self.packets.append((self.free + self.delay, packet))

    def deliver(self) -> None:
        """Hand out the packets that are due."""
        while self.packets and self.packets[0][0] <= time.monotonic():
            with contextlib.suppress(OSError):  # the device is not up: the packet is lost, as on a link
                os.write(self.target, self.packets[0][1])
            self.packets.popleft()


def run(devices: list[int], rate: float, delay: float) -> None:
    """Carry packets both ways, for ever; before all else, as a link does not wait for a core."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    ways = [Direction(*pair, rate, delay) for pair in (devices, devices[::-1])]
    while True:
        due = min((way.packets[0][0] for way in ways if way.packets), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        select.select(devices, [], [], wait)
        for way in ways:
            way.receive()
            way.deliver()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namespaces", nargs=2)
    parser.add_argument("--rate", type=float, required=True, help="Mbit/s each way")
    parser.add_argument("--delay", type=float, required=True, help="ms each way")
    arguments = parser.parse_args()
    devices = [open_device(name, "wire") for name in arguments.namespaces]
    run(devices, arguments.rate * 1e6 / 8, arguments.delay / 1e3)


if __name__ == "__main__":
    main()
