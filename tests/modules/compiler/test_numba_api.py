"""Canaries: a small test for each thing that bprop relies on of numba and llvmlite, so that a release that breaks one
says which. Each is named as in `NAMES` and `ATTRIBUTES` of compiler/numba_api.py."""

import ctypes
import pickle
import sys
from types import ModuleType

import numba
import numpy as np
import pytest
from bprop.modules.compiler import numba_api
from bprop.modules.compiler.arrays import allocate_aligned, flatten_contiguous
from bprop.modules.compiler.code_library import InnerLibrary, has_unresolved_calls
from bprop.modules.compiler.environments import DEFINITION
from bprop.modules.compiler.numba_api import (
    AbstractTemplate,
    AttributeTemplate,
    CodeLibrary,
    CompilerBase,
    CompileResult,
    DefaultPassBuilder,
    Dispatcher,
    Environment,
    FunctionPass,
    IRProcessing,
    JITCodeLibrary,
    Lower,
    NativeLowering,
    NumbaError,
    ObjectFileRef,
    OpaqueModel,
    TypingError,
    _helperlib,
    _nrt_python,
    _parse_refprune_flags,
    as_dtype,
    builtin_registry,
    cgutils,
    compile_result,
    config,
    cpu_target,
    dumps,
    ffi,
    global_compiler_lock,
    impl_ret_borrowed,
    impl_ret_new_ref,
    infer_getattr,
    intrinsic,
    ir,
    llvm,
    llvmlite,
    lookup_environment,
    lower_getattr_generic,
    lower_setattr_generic,
    normalize_ir_text,
    numba_ir,
    overload,
    parse_assembly,
    parse_bitcode,
    populate_array,
    register_default,
    register_hash_symbols,
    register_pass,
    rtsys,
    signature,
    tuple_setitem,
    types,
)
from bprop.modules.engine.method_calls import make_call

pytestmark = pytest.mark.jit
TEXT = 'define i64 @"{0}"(i64 %x) {{\n  ret i64 %x\n}}'


def run_code(write, x, result=None):
    """What the LLVM code returns for x that write(context, builder, type of x, value of x) writes."""

    @intrinsic
    def code(typing_context, x):
        def generate(context, builder, signature, args):
            return write(context, builder, signature.args[0], args[0])

        return (result or x)(x), generate

    @numba.njit
    def call(x):
        return code(x)

    return call(x)


def compile_function(function, *kinds, **options):
    """A function compiled for arguments of these types: the dispatcher and numba's result."""
    dispatcher = numba.njit(function, **options)
    dispatcher.compile(kinds)
    return dispatcher, dispatcher.overloads[kinds]


def add_one(x):
    return x + 1


def doubled(x):
    raise NotImplementedError


@overload(doubled, jit_options={"error_model": "numpy"})
def overload_doubled(x):
    return lambda x: 2 * x


class Cell(types.Type):
    """The type of the address of one word, with the attribute `word`."""

    def __init__(self):
        super().__init__(name="BpropCanaryCell")


@register_default(Cell)
class CellModel(OpaqueModel):
    pass


@infer_getattr
class CellAttributes(AttributeTemplate):
    key = Cell

    def generic_resolve(self, cell, name):
        return Increase(cell) if name == "increase" else types.intp if name == "word" else None


@numba.njit
def increase(cell, by):
    cell.word = cell.word + by


class Increase(types.BoundFunction):
    """The type of `cell.increase`."""

    def __init__(self, cell):
        class Template(AbstractTemplate):
            key = types.Dispatcher(increase)

            def generic(self, args, kws):
                return self.key.get_call_type(self.context, (cell, *args), kws).as_method()

        super().__init__(Template, cell)

    def get_impl_key(self, sig):
        return self.typing_key.get_impl_key(sig)


@register_default(Increase)
def find_increase_model(manager, kind):
    return manager[kind.this]


def word_of(builder, value):
    return builder.bitcast(value, cgutils.intp_t.as_pointer())


@lower_getattr_generic(Cell)
def read_cell(context, builder, kind, value, name):
    return builder.load(word_of(builder, value))


@lower_setattr_generic(Cell)
def write_cell(context, builder, sig, args, name):
    builder.store(args[1], word_of(builder, args[0]))


@intrinsic
def cell_at(typing_context, address):
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return Cell()(types.intp), generate


@numba.njit
def use_cell(address):
    cell = cell_at(address)
    cell.increase(3)
    return cell.word


SEEN: dict = {}


@register_pass(mutates_CFG=True, analysis_only=False)
class ThreeForTwo(FunctionPass):
    """Puts the constant 3 in the place of 2."""

    _name = "bprop_canary_pass"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        for block in state.func_ir.blocks.values():
            for statement in block.body:
                value = getattr(statement, "value", None)
                if isinstance(statement, numba_ir.Assign) and isinstance(value, numba_ir.Const) and value.value == 2:
                    SEEN["definitions"] = state.func_ir._definitions[statement.target.name]
                    statement.value = numba_ir.Const(3, value.loc)
        SEEN["compiling"] = bool(COMPILING[-1].is_compiling)
        return True


class CountingLower(Lower):
    def lower_inst(self, inst):
        SEEN["statements"] = SEEN.get("statements", 0) + 1
        SEEN["line"] = self.loc.line
        return super().lower_inst(inst)


@register_pass(mutates_CFG=True, analysis_only=False)
class CountingLowering(NativeLowering):
    _name = "bprop_canary_lowering"

    @property
    def lowering_class(self):
        return CountingLower


class CanaryCompiler(CompilerBase):
    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(ThreeForTwo, IRProcessing)
        pipeline.add_pass_after(CountingLowering, NativeLowering)
        SEEN["passes"] = [entry[0] for entry in pipeline.passes]
        pipeline.passes = [entry for entry in pipeline.passes if entry[0] is not NativeLowering]
        pipeline._finalized = False
        pipeline.finalize()
        return [pipeline]


COMPILING: list = []


@pytest.fixture(scope="module")
def two():
    """A function that returns 2, compiled by a pipeline that makes it 3; SEEN holds what its passes met."""
    COMPILING.append(numba.njit(lambda: 2, pipeline_class=CanaryCompiler))
    SEEN["result"] = COMPILING[-1]()
    return COMPILING[-1]


def test_all_have_a_canary():
    relied_on = {**numba_api.NAMES, **numba_api.ATTRIBUTES}
    imported = {name for name, value in vars(numba_api).items() if not name.startswith("__")}
    own = {"NAMES", "ATTRIBUTES", "numba_version", "register_hash_symbols"}
    assert imported - own == set(numba_api.NAMES)
    assert all(sentence.endswith(".") for sentence in relied_on.values())
    canaries = {name for name in globals() if name.startswith("test_")} - {"test_all_have_a_canary"}
    assert {f"test_{name.replace(' ', '_')}" for name in relied_on} == canaries


def test_config():
    names = "DISABLE_JIT OPT CPU_NAME CPU_FEATURES ENABLE_AVX LOOP_VECTORIZE SLP_VECTORIZE USING_SVML"
    assert all(hasattr(config, name) for name in [*names.split(), "LLVM_REFPRUNE_PASS"])


def test_types():
    kind = types.Array(types.float32, 2, "C", readonly=True)
    assert (kind.dtype.bitwidth, kind.ndim, kind.layout, kind.mutable, kind.aligned) == (32, 2, "C", False, True)
    assert types.BaseTuple.from_types((types.int64, kind)).types == (types.int64, kind)
    assert types.StarArgTuple.from_types((kind,)).types == (kind,)
    assert types.unliteral(types.literal(3)) == types.intp
    assert types.Omitted(0.5).value == 0.5
    dispatcher = numba.njit(add_one)
    call = types.Dispatcher(dispatcher).get_call_type(cpu_target.typing_context, (types.float32,), {})
    assert call.args == (types.float32,)


def test_intrinsic():
    assert run_code(lambda context, builder, kind, value: builder.add(value, value), 21) == 42


def test_overload():
    assert numba.njit(lambda x: doubled(x))(4) == 8


def test_bound_functions():
    word = np.array([4])
    assert use_cell(word.ctypes.data) == 7
    assert word[0] == 7


test_infer_getattr = test_lower_getattr_generic = test_lower_setattr_generic = test_bound_functions
test_AttributeTemplate = test_AbstractTemplate = test_bound_functions


def test_NumbaError():
    with pytest.raises(NumbaError):
        numba.njit(lambda x: x.no_such_attribute)(1)


def test_TypingError():
    def refuse(context, builder, kind, value):
        raise TypingError("a canary refuses")

    with pytest.raises(NumbaError, match="a canary refuses"):
        run_code(refuse, 1)


def test_ir():
    def add_atomically(context, builder, kind, value):
        slot = builder.alloca(value.type)
        builder.store_atomic(value, slot, "release", 8)
        builder.atomic_rmw("add", slot, ir.Constant(ir.IntType(64), 2), "acq_rel")
        return builder.load_atomic(slot, "acquire", 8)

    assert run_code(add_atomically, 5) == 7


def test_llvm():
    word = np.array([5])
    llvm.add_symbol("bprop_canary_word", word.ctypes.data)
    assert llvm.address_of_symbol("bprop_canary_word") == word.ctypes.data
    assert llvm.get_host_cpu_name()
    assert set(llvm.get_host_cpu_features().values()) <= {True, False}


def test_llvmlite():
    assert llvmlite.__version__


def test_parse_assembly():
    module = parse_assembly(TEXT.format("f"))
    assert not module.get_function("f").is_declaration


def test_parse_bitcode():
    first, second = (parse_bitcode(parse_assembly(TEXT.format(name)).as_bitcode()) for name in "fg")
    first.link_in(second)
    assert {function.name for function in first.functions} == {"f", "g"}


def test_ObjectFileRef():
    machine = llvm.Target.from_default_triple().create_target_machine()
    code = machine.emit_object(parse_assembly(TEXT.format("f")))
    assert ObjectFileRef.from_data(code)


def test_cgutils():
    def sum_below(context, builder, kind, value):
        total = cgutils.alloca_once_value(builder, cgutils.intp_t(0))
        with cgutils.for_range(builder, value) as loop:
            builder.store(builder.add(builder.load(total), loop.index), total)
        pair = cgutils.pack_array(builder, [builder.load(total), value])
        first, _ = cgutils.unpack_tuple(builder, pair, 2)
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, first)):
            builder.store(first, cgutils.alloca_once(builder, cgutils.intp_t))
        both = cgutils.make_anonymous_struct(builder, [cgutils.false_byte, first])
        both = cgutils.alloca_once_value(builder, both)
        builder.store(cgutils.true_byte, cgutils.gep_inbounds(builder, both, 0, 0))
        kind = ir.FunctionType(cgutils.intp_t, [cgutils.intp_t])
        positive = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.i64")
        set_bits = builder.call(positive, [cgutils.intp_t(7)])
        return builder.mul(builder.load(cgutils.gep_inbounds(builder, both, 0, 1)), set_bits)

    assert run_code(sum_below, 5) == 30


def test_impl_ret_borrowed():
    x = np.ones(3)
    count = sys.getrefcount(x)
    y = run_code(lambda context, builder, kind, value: impl_ret_borrowed(context, builder, kind, value), x)
    assert np.shares_memory(x, y)
    del y
    assert sys.getrefcount(x) == count


def new_like(context, builder, kind, value):
    sizes = cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, value).shape, 1)
    return impl_ret_new_ref(context, builder, kind, allocate_aligned(context, builder, kind, sizes, 64))


def test_impl_ret_new_ref():
    made = run_code(new_like, np.ones(7))
    assert made.shape == (7,)
    assert made.base.refcount == 1


def test__empty_nd_impl():
    made = [run_code(new_like, np.ones(size, np.float32)) for size in (1, 3, 5, 17)]
    assert all(each.ctypes.data % 64 == 0 for each in made)


def test_populate_array():
    assert callable(populate_array)
    x = np.arange(6.0).reshape(2, 3)
    vector = types.Array(types.float64, 1, "C")
    y = run_code(
        lambda context, builder, kind, value: impl_ret_borrowed(
            context, builder, vector, flatten_contiguous(context, builder, kind, value)
        ),
        x,
        vector,
    )
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x.ravel())


def test_tuple_setitem():
    assert numba.njit(lambda shape, axis: tuple_setitem(shape, axis, 9))((1, 2, 3), 1) == (1, 9, 3)


def test_as_dtype():
    assert as_dtype(types.float32) == np.float32
    assert as_dtype(types.uint8).itemsize == 1


def test_OpaqueModel():
    model = cpu_target.target_context.data_model_manager[Cell()]
    assert isinstance(model, CellModel)
    assert isinstance(model.get_data_type(), ir.PointerType)


test_register_default = test_OpaqueModel


def test_signature():
    made = signature(types.void, types.int64)
    assert (made.return_type, made.args) == (types.void, (types.int64,))


def doubled_template():
    (kind,) = [kind for known, kind in builtin_registry.globals if known is doubled]
    return kind.templates[0]


def test_builtin_registry():
    assert isinstance(doubled_template(), type)


def test_overload_template():
    assert doubled_template()._overload_func is overload_doubled


def test_lookup_global():
    cpu_target.typing_context.refresh()
    assert cpu_target.typing_context._lookup_global(doubled) is not None
    assert cpu_target.typing_context._lookup_global(add_one) is None


def test_refresh():
    def late(x):
        raise NotImplementedError

    overload(late)(lambda x: lambda x: x + 5)
    cpu_target.typing_context.refresh()
    assert cpu_target.typing_context._lookup_global(late) is not None


def test_CompilerBase(two):
    assert SEEN["result"] == 3


test_DefaultPassBuilder = test_FunctionPass = test_register_pass = test_CompilerBase
test_numba_ir = test_CompilerBase


def test_IRProcessing(two):
    passes = SEEN["passes"]
    assert passes.index(ThreeForTwo) == passes.index(IRProcessing) + 1


def test_pipeline_passes(two):
    assert NativeLowering in SEEN["passes"]


def test_NativeLowering(two):
    assert SEEN["statements"] > 0


def test_Lower(two):
    assert SEEN["line"] == two.py_func.__code__.co_firstlineno


def test_definitions(two):
    assert [each.value for each in SEEN["definitions"]] == [2]


def test_dispatcher_compiling(two):
    assert SEEN["compiling"]
    assert not two.is_compiling


def test_global_compiler_lock():
    with global_compiler_lock, global_compiler_lock:
        assert global_compiler_lock.is_locked()
    global_compiler_lock.acquire()
    global_compiler_lock.release()


def test_cpu_target():
    assert cpu_target.target_context.typing_context is cpu_target.typing_context
    assert cpu_target.target_context.codegen().create_library("canary")


def test_calling_convention():
    @numba.njit
    def divide(x):
        if x == 0:
            raise ValueError("nothing to divide by")
        return 12 // x

    divide(1)
    (overload,) = divide.overloads.values()
    address = overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name)
    call = make_call(0, (types.int64,), types.int64)
    by_address = numba.njit(lambda address, x: call(address, 0, (x,)))
    assert by_address(address, 4) == 3
    with pytest.raises(ValueError, match="nothing to divide by"):
        by_address(address, 0)


def test_code_generator():
    codegen = cpu_target.target_context.codegen()
    options: dict = {}
    codegen._customize_tm_options(options)
    assert "cpu" in options
    assert codegen._llvm_module.triple
    assert codegen._data_layout
    assert codegen._engine._ee.add_object_file
    assert isinstance(codegen.magic_tuple(), tuple)


def test_CodeLibrary():
    _, result = compile_function(add_one, types.int64)
    assert isinstance(result.library, CodeLibrary)
    assert InnerLibrary(cpu_target.target_context.codegen(), "canary").name == "canary"


def test_JITCodeLibrary():
    _, result = compile_function(add_one, types.int64)
    assert isinstance(result.library, JITCodeLibrary)


def test_library_protocol():
    names = "_ensure_finalized _raise_if_finalized _finalized _codegen add_linking_library add_ir_module finalize"
    library = cpu_target.target_context.codegen().create_library("canary")
    assert all(hasattr(library, name) for name in names.split())
    _, result = compile_function(add_one, types.int64)
    assert result.library._get_module_for_linking().as_bitcode()


def test_entry_library():
    library = cpu_target.target_context.codegen().create_library("canary")
    assert all(hasattr(library, name) for name in ("_final_module", "_linking_libraries", "_finalize_final_module"))


def test__parse_refprune_flags():
    assert int(_parse_refprune_flags()) > 0


def test_normalize_ir_text():
    assert normalize_ir_text('@"Σ" = 1').encode("latin-1")


def test_ffi():
    with ffi.lib._lock:
        pass


def test_CompileResult():
    _, result = compile_function(add_one, types.int64)
    rebuilt = CompileResult._rebuild(cpu_target.target_context, *result._reduce())
    assert rebuilt.entry_point(41) == 42


def test_compile_result():
    names = "target_context typing_context library fndesc signature entry_point environment objectmode lifted"
    assert {*names.split(), "reload_init", "referenced_envs"} <= set(CompileResult._fields)
    _, result = compile_function(add_one, types.int64)
    values = {name: getattr(result, name) for name in [*names.split(), "reload_init", "referenced_envs"]}
    assert compile_result(**values).signature == result.signature


def test_Dispatcher():
    dispatcher, result = compile_function(add_one, types.int64)
    assert isinstance(dispatcher, Dispatcher)
    assert dispatcher.py_func is add_one
    assert dispatcher.get_overload((types.int64,)) is result.entry_point


def test_dispatcher_options():
    dispatcher = numba.njit(add_one, pipeline_class=CanaryCompiler, error_model="numpy")
    assert dispatcher.targetoptions["error_model"] == "numpy"
    assert dispatcher._compiler.pipeline_class is CanaryCompiler


def test_dispatcher_cache():
    class Cache:
        cache_path, saved, asked = "", (), ()

        def load_overload(self, sig, target_context):
            self.asked = sig

        def save_overload(self, sig, data):
            self.saved = sig, data

    dispatcher = numba.njit(add_one)
    dispatcher._cache = cache = Cache()
    dispatcher.compile((types.int64,))
    assert cache.asked == cache.saved[0] == (types.int64,)
    assert cache.saved[1] is dispatcher.overloads[types.int64,]


def test_dumps():
    assert pickle.loads(dumps((lambda x: x + 1, "text")))[0](1) == 2


def test_Environment():
    environment = Environment({})
    environment.consts.append("text")
    assert environment.consts == ["text"]


def test_lookup_environment():
    _, result = compile_function(add_one, types.int64)
    assert isinstance(lookup_environment(result.fndesc.env_name), Environment)


def test_environment_symbols():
    _, result = compile_function(add_one, types.int64)
    names_in_text = [name for _, name, _ in DEFINITION.findall(str(result.library._get_module_for_linking()))]
    assert names_in_text == [result.fndesc.env_name]


def test_unresolved_symbols():
    even = numba.njit(lambda n: True if n == 0 else odd(n - 1))
    odd = numba.njit(lambda n: False if n == 0 else even(n - 1))
    even.compile((types.int64,))
    assert has_unresolved_calls(even.overloads[types.int64,].library._final_module)
    assert not has_unresolved_calls(compile_function(add_one, types.int64)[1].library._final_module)


def test_rtsys():
    rtsys.initialize(cpu_target.target_context)
    rtsys.initialize(cpu_target.target_context)
    assert llvm.address_of_symbol("NRT_Allocate")


def test__helperlib():
    pointer = _helperlib.rnd_get_np_state_ptr()
    draw = numba.njit(lambda: np.random.random())
    state, first = _helperlib.rnd_get_state(pointer), draw()
    _helperlib.rnd_set_state(pointer, state)
    assert draw() == first
    assert _helperlib.rnd_get_py_state_ptr() != pointer


def own_memory(array):
    """The address of a new owner of an array's memory."""
    return int(_nrt_python.meminfo_new(array.ctypes.data, array))


def test__nrt_python():
    array = np.ones(3)
    count = sys.getrefcount(array)
    owner = _nrt_python._MemInfo(own_memory(array))
    assert (owner.refcount, owner.data) == (1, array.ctypes.data)
    del owner
    assert sys.getrefcount(array) == count


def test_reference_count():
    address = own_memory(np.ones(3))
    assert ctypes.c_size_t.from_address(address).value == 1
    assert _nrt_python._MemInfo(address).refcount == 1


def test_array_header():
    model = cpu_target.target_context.data_model_manager[types.Array(types.float64, 2, "C")]
    assert model._fields == ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides")


def test_do_boundscheck(monkeypatch):
    asked = []
    original = cgutils.do_boundscheck
    monkeypatch.setattr(
        cgutils, "do_boundscheck", lambda *arguments, **named: asked.append(original(*arguments, **named))
    )
    compile_function(lambda x, i: x[i], types.Array(types.float64, 1, "C"), types.int64, boundscheck=True)
    assert asked


def test_fastmath_inheritance():
    def flags(inner, **options):
        inner = numba.njit(inner, **options)
        numba.njit(lambda x: inner(x) + x, fastmath=True)(1.5)
        return " fast " in inner.inspect_llvm(inner.signatures[0]).split("define", 2)[1]

    assert not flags(lambda x: x * x + 1.0, fastmath=False)


def test_assertions():
    class Wrong(AssertionError):
        pass

    def refuse(context, builder, kind, value):
        raise Wrong("as it is")

    with pytest.raises(Wrong, match="as it is"):
        run_code(refuse, 1)


def test_hashing_symbols():
    register_hash_symbols()
    assert isinstance(sys.modules["numba.cpython.hashing"], ModuleType)
    assert llvm.address_of_symbol("_numba_hashsecret_djbx33a_suffix")
