"""parallel_for inside compiled code: a dispatch to worker threads costs less than a microsecond.

Such a kernel takes a range of its tiles, `kernel(first, last, ...)`, and computes each tile in the same way whatever
the range: so results are the same bits for any number of threads. Python starts the worker threads (see
engine/threads.py), which run `serve`; without workers, `dispatch` is a plain call.

A job's tiles are divided into parts, and these into one region for each thread. A thread runs the parts of its own
region first, whose data its core's cache may still hold from the last job, then what is left of the other regions.
Parts are claimed by fetch-and-add on the region's word of NEXT; the job's number in its upper half, and in LIMIT, keeps
a late thread away from the next job's parts.
"""

import os
import platform

from ..compiler.kernel import kernel
from ..compiler.numba_api import cgutils, intrinsic, ir, types
from .shared_words import WORD, make_shared_words

# Words of the control block; those that several threads write lie in cache lines of their own.
WORKERS, ACTIVE, SESSION, OWNER, LIMIT, DONE, NEXT = 0, 8, 16, 24, 32, 40, 64
NUMBER, TASK, ARGUMENTS, TOTAL = 48, 49, 50, 51
MAX_THREADS = 64
LINE = 8  # words
PART_FLOPS = 500_000  # the minimum for a part: some microseconds
MOVE_FLOPS = 8  # the cost of moving a number
PARTS = 4  # the maximum for each thread of a job: enough for balanced loads
SPINS = 4_000  # pauses before a waiting thread yields its core

CONTROL, load, store, fetch_add, _ = make_shared_words("bprop_threads", NEXT + LINE * MAX_THREADS)

TASK_TYPE = ir.FunctionType(ir.VoidType(), [WORD, WORD, WORD])  # arguments, first tile, last tile
PAUSE: dict[str, tuple[str, list]] = {"x86_64": ("llvm.x86.sse2.pause", []), "AMD64": ("llvm.x86.sse2.pause", [])}
PAUSE |= dict.fromkeys(("aarch64", "arm64"), ("llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]))


@intrinsic
def pause(typing_context, spins):
    """Pause a spinning thread for a moment; now and then yield its core to other threads."""

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
def run_claimed_parts(thread):
    """Claim and run parts of the current job until none is left, first those of the thread's own region."""
    threads = load(LIMIT) >> 16 & 0xFFFF
    for k in range(threads):
        region = (thread + k) % threads
        while True:
            place = fetch_add(NEXT + LINE * region, 1)
            limit = load(LIMIT)
            regions, parts = limit >> 16 & 0xFFFF, limit & 0xFFFF
            part = region * parts // max(1, regions) + (place & 0xFFFFFFFF)
            if place >> 32 != limit >> 32 or region >= regions or part >= (region + 1) * parts // regions:
                break
            total = load(TOTAL)
            call_task(load(TASK), load(ARGUMENTS), part * total // parts, (part + 1) * total // parts)
            fetch_add(DONE, 1)


@kernel
def run_parts(task, arguments, total, parts):
    """Run all tiles of a task in this many parts on the worker threads; on this thread alone while another job runs."""
    active = load(ACTIVE) if load(SESSION) != 0 else 0
    if parts < 2 or active == 0 or fetch_add(OWNER, 1) != 0:
        call_task(task, arguments, 0, total)
    else:
        number, threads = (load(NUMBER) + 1) & 0x7FFFFFFF, min(parts, active + 1)
        store(NUMBER, number)
        store(TASK, task)
        store(ARGUMENTS, arguments)
        store(TOTAL, total)
        store(DONE, 0)
        store(LIMIT, number << 32 | threads << 16 | parts)
        for region in range(threads):
            store(NEXT + LINE * (threads - 1 - region), number << 32)
        run_claimed_parts(0)
        spins = 0
        while load(DONE) < parts:
            pause(spins)
            spins += 1
        store(OWNER, 0)


@kernel
def run_tiles(task, arguments, total, flops):
    """Run all tiles of a task, `flops` operations in all, in parts."""
    run_parts(task, arguments, total, min(total, PARTS * (load(WORKERS) + 1), flops // PART_FLOPS))


def serve(session, thread):
    """The loop of a worker thread: run parts of jobs until the session ends."""
    fetch_add(ACTIVE, 1)
    idle, last_number = 0, -1
    while load(SESSION) == session:
        limit = load(LIMIT)
        number, threads = limit >> 32, limit >> 16 & 0xFFFF
        if number != last_number and load(NEXT + LINE * (thread % max(1, threads))) >> 32 == number:
            run_claimed_parts(thread)
            idle, last_number = 0, number
        else:
            pause(idle)
            idle += 1
    fetch_add(ACTIVE, -1)


def parallel_for(function, tiles, flops, *arguments):
    """Call `function(first, last, *arguments)` on ranges of the tiles 0 to `tiles`, in parallel on the worker threads.

    flops: about how many operations in all; small jobs run in one thread.
    """
    function(0, tiles, *arguments)


def parallel_for_parts(function, tiles, parts, *arguments):
    """As `parallel_for`, in this many ranges; in a single one, the function itself may run in parallel."""
    function(0, tiles, *arguments)


def count_equal_shares(tiles):
    """The number of threads that divide the tiles evenly: all of them, or one."""
    return 1


@kernel
def compiled_count_equal_shares(tiles):
    """The compiled form of `count_equal_shares`, which counts the worker threads."""
    threads = load(WORKERS) + 1
    return threads if tiles % threads == 0 else 1


count_equal_shares.compiled_form = compiled_count_equal_shares  # type: ignore[attr-defined]


def make_dispatch(runner, fewest: int):
    """Make the intrinsic that packs a function's arguments and calls `runner(task, arguments, total, how)`.

    Below `how = fewest` the runner would run all tiles on this thread, so the function is called directly.

    An error that the function raises in any thread is raised again by one more run of the function on this thread.
    """

    @intrinsic
    def dispatch(typing_context, task_type, total, how, *arguments):
        signature = task_type.get_call_type(typing_context, (types.intp, types.intp, *arguments), {})
        runner_type = types.Dispatcher(runner)
        run_signature = runner_type.get_call_type(typing_context, (types.intp,) * 4, {})

        def generate(context, builder, outer, args):
            compiled = task_type.dispatcher.overloads[tuple(signature.args)]
            context.add_linking_libs([compiled.library])
            values = [
                context.cast(builder, builder.extract_value(args[3], k), argument_type, expected)
                for k, (argument_type, expected) in enumerate(zip(arguments, signature.args[2:], strict=True))
            ]

            def call_directly():
                function = context.get_function(task_type, signature)
                function(builder, [WORD(0), args[1], *values])
                context.add_linking_libs(function.libs)

            few = builder.icmp_signed("<", args[2], WORD(fewest))
            with builder.if_else(few) as (directly, by_parts):
                with directly:
                    call_directly()
                with by_parts:
                    packed = cgutils.make_anonymous_struct(builder, [cgutils.false_byte, *values])
                    packed = cgutils.alloca_once_value(builder, packed)
                    task = _task(context, builder.module, compiled.fndesc, packed.type)
                    implementation = context.get_function(runner_type, run_signature)
                    addresses = [builder.ptrtoint(task, WORD), builder.ptrtoint(packed, WORD)]
                    implementation(builder, [*addresses, args[1], args[2]])
                    context.add_linking_libs(implementation.libs)
                    failed = builder.load(cgutils.gep_inbounds(builder, packed, 0, 0))
                    with builder.if_then(cgutils.is_not_null(builder, failed), likely=False):
                        call_directly()
            return context.get_dummy_value()

        argument_types = types.StarArgTuple.from_types(arguments)
        return types.none(task_type, types.intp, types.intp, argument_types), generate

    return dispatch


dispatch, dispatch_parts = make_dispatch(run_tiles, 2 * PART_FLOPS), make_dispatch(run_parts, 2)
parallel_for.compiled_form, parallel_for_parts.compiled_form = dispatch, dispatch_parts  # type: ignore[attr-defined]


def _task(context, module, fndesc, packed):
    """Define the function (arguments, first, last) that unpacks the arguments and calls a kernel with them."""
    name = f"task.{fndesc.mangled_name}"
    if name in module.globals:
        return module.globals[name]
    task = ir.Function(module, TASK_TYPE, name)
    task.linkage = "internal"
    builder = ir.IRBuilder(task.append_basic_block())
    address, *bounds = task.args
    pointer = builder.inttoptr(address, packed)
    failed, *values = [cgutils.gep_inbounds(builder, pointer, 0, k) for k in range(len(packed.pointee.elements))]
    callee = context.declare_function(module, fndesc)
    arguments = [*bounds, *(builder.load(value) for value in values)]
    status, _ = context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, arguments)
    with builder.if_then(status.is_error, likely=False):
        builder.store(cgutils.true_byte, failed)
    builder.ret_void()
    return task
