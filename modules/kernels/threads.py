"""Sharing a kernel's work among threads, inside compiled code: a hand-over costs less than a microsecond.

A kernel that is shared takes a range of its tiles, `kernel(first, last, ...)`, and computes each tile in the same way
whatever the range: so results are the same bits for any number of threads. The threads are lent by Python (see
engine/threads.py), which has them run `serve`; without any, `share` is a call.

The parts of a job are claimed by fetch-and-add on NEXT; the job's number in the upper half of NEXT and LIMIT keeps a
thread that comes late away from the next job's parts.
"""

import os
import platform

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .kernel import kernel

# Words of the control block; those that several threads write lie in cache lines of their own.
HELPERS, SESSION, OWNER, NEXT, LIMIT, DONE = 0, 8, 16, 24, 32, 40
NUMBER, TASK, ARGUMENTS, TOTAL = 48, 49, 50, 51
PART_FLOPS = 500_000  # what a part should hold at least: some microseconds
MOST_PARTS = 64
SPINS = 4_000  # pauses before a waiting thread offers its core to others

CONTROL = np.zeros(64, np.int64)
llvm.add_symbol("bprop_threads", CONTROL.ctypes.data)  # so that code kept on disk finds it in every process

WORD = cgutils.intp_t
TASK_TYPE = ir.FunctionType(ir.VoidType(), [WORD, WORD, WORD])  # arguments, first tile, last tile
PAUSE: dict[str, tuple[str, list]] = {"x86_64": ("llvm.x86.sse2.pause", []), "AMD64": ("llvm.x86.sse2.pause", [])}
PAUSE |= dict.fromkeys(("aarch64", "arm64"), ("llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]))


def _word(builder, place):
    block = builder.module.globals.get("bprop_threads")
    if block is None:
        block = ir.GlobalVariable(builder.module, ir.ArrayType(WORD, CONTROL.size), "bprop_threads")
    return builder.gep(block, [WORD(0), place])


@intrinsic
def load(typing_context, place):
    """A word of the control block."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_word(builder, args[0]), "acquire", 8)

    return types.intp(types.intp), generate


@intrinsic
def store(typing_context, place, value):
    """Set a word of the control block."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[1], _word(builder, args[0]), "release", 8)
        return context.get_dummy_value()

    return types.none(types.intp, types.intp), generate


@intrinsic
def fetch_add(typing_context, place, amount):
    """Add to a word of the control block; returns what it was."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(builder, args[0]), args[1], "acq_rel")

    return types.intp(types.intp, types.intp), generate


@intrinsic
def wait(typing_context, spins):
    """A short pause; now and then the core is offered to other threads."""

    def generate(context, builder, signature, args):
        if platform.machine() in PAUSE:
            name, arguments = PAUSE[platform.machine()]
            kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        if os.name == "posix":
            late = builder.icmp_unsigned("==", builder.urem(args[0], WORD(SPINS)), WORD(SPINS - 1))
            with builder.if_then(late):
                kind = ir.FunctionType(ir.IntType(32), [])
                builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.none(types.intp), generate


@intrinsic
def call_task(typing_context, task, arguments, first, last):
    """Run tiles first to last of the task at address `task`."""

    def generate(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], TASK_TYPE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.none(*[types.intp] * 4), generate


@kernel
def work():
    """Claim and run parts of the present job until none is left."""
    while True:
        place = fetch_add(NEXT, 1)
        limit = load(LIMIT)
        if place >> 32 != limit >> 32 or place >= limit:
            return
        part, parts, total = place & 0xFFFFFFFF, limit & 0xFFFFFFFF, load(TOTAL)
        call_task(load(TASK), load(ARGUMENTS), part * total // parts, (part + 1) * total // parts)
        fetch_add(DONE, 1)


@kernel
def run(task, arguments, total, parts):
    """Run all tiles of a task, with the threads that are lent; alone while another thread's job runs."""
    if parts == 1 or load(SESSION) == 0 or load(HELPERS) == 0 or fetch_add(OWNER, 1) != 0:
        call_task(task, arguments, 0, total)
    else:
        number = (load(NUMBER) + 1) & 0x7FFFFFFF
        store(NUMBER, number)
        store(TASK, task)
        store(ARGUMENTS, arguments)
        store(TOTAL, total)
        store(DONE, 0)
        store(LIMIT, number << 32 | parts)
        store(NEXT, number << 32)
        work()
        spins = 0
        while load(DONE) < parts:
            wait(spins)
            spins += 1
        store(OWNER, 0)


def serve(session):
    """What a lent thread does: help with jobs until the session ends."""
    fetch_add(HELPERS, 1)
    idle = 0
    while load(SESSION) == session:
        place, limit = load(NEXT), load(LIMIT)
        if place >> 32 == limit >> 32 and place < limit:
            work()
            idle = 0
        else:
            wait(idle)
            idle += 1
    fetch_add(HELPERS, -1)


@kernel
def parts_of(flops):
    """How many parts a job of this size has; 1: not worth sharing."""
    return max(1, min(MOST_PARTS, flops // PART_FLOPS))


@intrinsic
def share(typing_context, shared, total, parts, *arguments):
    """`shared(first, last, *arguments)` over tiles 0 to `total`, in `parts` ranges for the threads that are lent."""
    signature = shared.get_call_type(typing_context, (types.intp, types.intp, *arguments), {})
    runner = types.Dispatcher(run)
    run_signature = runner.get_call_type(typing_context, (types.intp,) * 4, {})

    def generate(context, builder, outer, args):
        compiled = shared.dispatcher.overloads[tuple(signature.args)]
        context.add_linking_libs([compiled.library])
        values = [
            context.cast(builder, builder.extract_value(args[3], k), given, wanted)
            for k, (given, wanted) in enumerate(zip(arguments, signature.args[2:], strict=True))
        ]
        packed = cgutils.alloca_once_value(builder, cgutils.make_anonymous_struct(builder, values))
        task = _task(context, builder.module, compiled.fndesc, packed.type)
        implementation = context.get_function(runner, run_signature)
        addresses = [builder.ptrtoint(task, WORD), builder.ptrtoint(packed, WORD)]
        implementation(builder, [*addresses, args[1], args[2]])
        context.add_linking_libs(implementation.libs)
        return context.get_dummy_value()

    return types.none(shared, types.intp, types.intp, types.StarArgTuple.from_types(arguments)), generate


def _task(context, module, fndesc, packed):
    """The function (arguments, first, last) that unpacks the arguments and calls a kernel with them."""
    name = f"task.{fndesc.mangled_name}"
    if name in module.globals:
        return module.globals[name]
    task = ir.Function(module, TASK_TYPE, name)
    task.linkage = "internal"
    builder = ir.IRBuilder(task.append_basic_block())
    address, *bounds = task.args
    pointer = builder.inttoptr(address, packed)
    values = [cgutils.gep_inbounds(builder, pointer, 0, k) for k in range(len(packed.pointee.elements))]
    callee = context.declare_function(module, fndesc)
    arguments = [*bounds, *(builder.load(value) for value in values)]
    context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, arguments)
    builder.ret_void()
    return task
