"""Code generator: the Python source of a plan, as straight-line calls of compiled methods, for people to read, too."""

import itertools
from typing import Any

from ..compiler.numba_api import types
from .index_check import has_users_methods
from .outlining import Sections, find_names
from .state import StateType


def generate_plan(title, functions, modules, kinds, names, outlined: bool = True) -> str:
    """Generate the plan's Python source; long functions are cut into sections if `outlined`."""
    engine = __name__.rsplit(".", 1)[0]
    out = [f'"""{title}"""', "", f"from {engine}.generated_imports import *", ""]
    index = {module: k for k, module in enumerate(modules)}
    compiled = [o for f in functions for o in f.before]
    compiled += [o for f in functions for part in f.parts if part.compiled for o in part.operations]
    used = dict.fromkeys((names[type(o.module)], o.method) for o in compiled)
    out += [f"{alias}_{method} = method({alias}, {method!r})" for alias, method in used]
    users = frozenset(module for module in modules if has_users_methods(module))
    checked_methods = dict.fromkeys((names[type(o.module)], o.method) for o in compiled if o.module in users)
    out += [f"checked_{alias}_{method} = checked_method({alias}, {method!r})" for alias, method in checked_methods]
    type_names: dict[StateType, str] = {}
    for kind in kinds:
        out += generate_state_type(kind, type_names)
    checked = dict.fromkeys(type_names[kind] for module, kind in zip(modules, kinds, strict=True) if module in users)
    out += ["", *(f"checked_{kind} = make_checked_type({kind})" for kind in checked)] if checked else []
    out += ["", f"STATES = [{', '.join(type_names[kind] for kind in kinds)}]"]
    for function in functions:
        parts = function.parts
        for k, part in enumerate(parts):
            if part.compiled:
                name = function.name if len(parts) == 1 else f"{function.name}{k}"
                out += ["", ""]
                arguments = part, function, index, type_names, names, kinds, outlined
                out += generate_function(name, *arguments, whole=len(parts) == 1)
                if users & {module for o in (*function.before, *part.operations) for module in o.modules}:
                    out += [
                        "",
                        "",
                        *generate_function(f"checked_{name}", *arguments, whole=len(parts) == 1, checked=users),
                    ]
    return "\n".join(out) + "\n"


def generate_function(
    name, part, function, index, type_names, names, kinds, outlined, whole, checked=frozenset()
) -> list[str]:
    """Generate a function: its state blocks, then a line for each operation; bounds checks in `checked` modules."""
    needed = [*(function.before if whole else ()), *part.operations]
    used = [module for module in index if any(module in o.modules for o in needed)]
    inputs = function.inputs if whole else part.reads
    results = function.results if whole else part.makes
    parameters = ", ".join(["states", *inputs])
    prefix = {m: "checked_" if m in checked else "" for m in used}
    types = {index[m]: f"{prefix[m]}{type_names[kinds[index[m]]]}" for m in used}
    states = {f"m{k}": f"    m{k} = state_at({kind}, states, {k})" for k, kind in types.items()}
    states = {key: f"{line}  # {m.outline()}" for m, (key, line) in zip(used, states.items(), strict=True)}
    lines = generate_operations(part.operations, function, index, names, whole, checked)
    sections = Sections(name)
    if outlined:
        lines = sections.cut(types, lines, results)
    out = sections.generate()
    out += ["", ""] if out else []
    if function.step and whole:
        before = generate_operations(function.before, function, index, names, whole, checked)
        settings = format_settings(function.scheduled, index)
        return [*out, *generate_step(function, name, states, lines, parameters, settings, before)]
    result = ", ".join(results) if whole else f"({''.join(f'{name}, ' for name in results)})"
    used_states = select_states(states, lines)
    return [*out, "@entry", f"def {name}({parameters}):", *used_states, *lines, f"    return {result}"]


def generate_operations(operations, function, index, names, whole, checked) -> list[str]:
    """Generate the lines of operations; those that are repeated stand in a loop."""
    lines = []
    for repeat, stretch in itertools.groupby(operations, lambda operation: operation.repeat):
        inner = [line for o in stretch for line in generate_operation(o, function, index, names, whole, checked)]
        if repeat is not None:
            lines.append(f"    for _ in range(m{index[repeat.owner]}.{repeat.setting}):")
            inner = [f"    {line}" for line in inner]
        lines += inner
    return lines


def select_states(states: dict[str, str], lines: list[str]) -> list[str]:
    """Select the lines of the states that other lines use."""
    names = set(find_names(lines))
    return [line for name, line in states.items() if name in names]


def generate_operation(operation, function, index, names, whole, checked=frozenset()) -> list[str]:
    """Generate the lines of one operation: gradients to clear, the call, and the check of a loss."""
    module, alias = operation.module, names[type(operation.module)]
    partner = [] if operation.partner is None else [f"m{index[operation.partner]}"]
    arguments = ", ".join([f"m{index[module]}", *partner, *operation.arguments])
    lines = []
    if function.step and operation.method in ("bprop", "bprop_after"):
        lines += [
            f"    {name}[:] = 0"
            for each in (module, operation.other)
            if each is not None
            for name in generate_gradient_clears(each, f"m{index[each]}", function.later)
        ]
    if module in checked:
        lines.append(f"    note_operation({function.ordered.index(operation)})")
        alias = f"checked_{alias}"
    lines.append(f"    {operation.target} = {alias}_{operation.method}({arguments})")
    if function.step and whole and operation.target == function.results[0]:
        lines += [
            f"    if not np.isfinite({operation.target}):",
            f"        return {operation.target}",
        ]
    return lines


def generate_gradient_clears(module, name: str, later) -> list[str]:
    """List the gradients to clear before a bprop that adds to them, without `later` modules; children always add."""
    own = [] if module.overwrites_gradients() else module.gradient_names()
    own = module.unshared_gradient_names() if module in later else own
    lines = [f"{name}.{gradient}" for gradient in own]
    for child_name, child in module.children_inside().items():
        cleared = child.unshared_gradient_names() if child in later else child.gradient_names()
        lines += [f"{name}.{child_name}.{gradient}" for gradient in cleared]
        lines += [line for line in generate_gradient_clears(child, f"{name}.{child_name}", later) if line not in lines]
    return lines


def format_settings(scheduled, index) -> list[str]:
    """Format settings as expressions of the plan's source: `m3.lr`, or `m3.child.p` for children."""
    places: dict[Any, str] = {}
    for module, k in index.items():
        places |= {inner: f"m{k}{path}" for inner, path in iterate_children(module)}
    return [f"{places[module]}.{name}" for module, name in scheduled]


def iterate_children(module, path: str = ""):
    """Iterate over a module and the children that it calls, each with its path."""
    yield module, path
    for name, child in module.children_inside().items():
        yield from iterate_children(child, f"{path}.{name}")


def generate_step(
    function, name: str, states, lines: list[str], parameters: str, scheduled: list[str], before
) -> list[str]:
    """Generate a training step for one minibatch, and the same step in a loop over a data set."""
    value, y = function.results
    step = ["@entry", f"def {name}({parameters}):", *select_states(states, lines), *lines, f"    return {value}"]
    if "x_1" in function.inputs:  # a table other than (x, lengths), which no data set has
        return step
    body = [f"    {line}" for line in lines]
    body = [line.replace(f"return {value}", f"return {value}, begin") for line in body]
    weighted, sequences = "weight" in function.inputs, "lengths" in function.inputs
    more = ", weights, weight_buffer" if weighted else ""
    more += ", all_lengths, length_buffer" if sequences else ""
    more += ", schedule" if scheduled else ""
    if function.sharded:
        return [*step, *generate_shard_loop(function, name, states, scheduled, before, lines, more)]
    return [
        *step,
        "",
        "",
        "@entry",
        f"def {name}s(states, parameters, gradients, data, scale, shift, targets, order, start, first, last, size, "
        f"total, x_buffer, target_buffer, outputs{more}):",
        '    """Train on rows order[first:last], `size` at a time; `total` and their losses, and the place reached.',
        "",
        "    The first row of `outputs` and of `schedule` are those of the place `start`.",
        '    """',
        *select_states(states, [*scheduled, *before, *lines]),
        "    for begin in range(first, last, size):",
        *[f"        {setting} = schedule[(begin - start) // size, {k}]" for k, setting in enumerate(scheduled)],
        "        rows = order[begin : min(begin + size, last)]",
        *[f"        {line}" for line in generate_gathering(function)],
        *[f"    {line}" for line in before],
        *body,
        f"        total += {value} * {'sum_of(weight)' if weighted else 'rows.size'}",
        "        if outputs.shape[0]:",
        f"            copy_rows({y}, outputs, begin - start)",
        "    return total, last",
    ]


def generate_shard_loop(function, name: str, states, scheduled: list[str], before, lines: list[str], more) -> list[str]:
    """Generate the loop over the parts of minibatches that is cut into shards; it adds up gradients, without an update.

    The arguments have the places of those of the loop over minibatches.
    """
    value, y = function.results
    body = []
    for line in (f"    {line}" for line in lines):
        if line.endswith(f"return {value}"):  # where the loss is not finite
            body.append(line.replace(f"return {value}", f"losses[k] = {value}"))
            line += ", k"
        body.append(line)
    return [
        "",
        "",
        "@entry",
        f"def {name}s(states, parameters, gradients, data, scale, shift, targets, order, start, first, last, size, "
        f"losses, x_buffer, target_buffer, outputs, places{more}):",
        '    """Run the parts first to last, rows order[places[k, 0]:places[k, 1]] each; `losses` gets what they add.',
        "",
        "    The first row of `outputs` is that of the place `start`.",
        '    """',
        *select_states(states, [*scheduled, *before, *lines]),
        "    for k in range(first, last, size):",
        *[f"        {setting} = schedule[k, {column}]" for column, setting in enumerate(scheduled)],
        "        begin = places[k, 0]",
        "        rows = order[begin : places[k, 1]]",
        *[f"        {line}" for line in generate_gathering(function)],
        *[f"    {line}" for line in before],
        *body,
        f"        losses[k] = {value} * {'sum_of(weight)' if 'weight' in function.inputs else 'rows.size'}",
        "        if outputs.shape[0]:",
        f"            copy_rows({y}, outputs, begin - start)",
        "    return 0.0, last",
    ]


def generate_gathering(function) -> list[str]:
    """Generate the lines that gather a minibatch: x and target, and weights and lengths if there are any."""
    if function.cut:
        buffer = "cut_buffer({}_buffer, rows.size, longest)"
        lines = ["longest = find_longest(all_lengths, rows)", f"x = {buffer.format('x')}"]
        cut = "target" in function.cut
        lines.append(f"target = {buffer.format('target') if cut else 'target_buffer[: rows.size]'}")
        lines += ["gather_scaled(data, rows, scale, shift, x)", "gather(targets, rows, target)"]
    else:
        lines = ["gather_scaled(data, rows, scale, shift, x_buffer)", "gather(targets, rows, target_buffer)"]
        lines.append("x, target = x_buffer[: rows.size], target_buffer[: rows.size]")
    if "weight" in function.inputs:
        lines += ["gather(weights, rows, weight_buffer)", "weight = weight_buffer[: rows.size]"]
    if "lengths" in function.inputs:
        lines += ["gather(all_lengths, rows, length_buffer)", "lengths = length_buffer[: rows.size]"]
    return lines


def generate_state_type(kind: StateType, type_names: dict[StateType, str]) -> list[str]:
    """Generate the definition of a state type and of its children's, unless they are defined already."""
    if kind in type_names:
        return []
    lines = []
    for _, inner in kind.fields:
        if isinstance(inner, StateType):
            lines += generate_state_type(inner, type_names)
    type_names[kind] = f"S{len(type_names)}"
    fields = "".join(f"\n    ({name!r}, {format_type(inner, type_names)})," for name, inner in kind.fields)
    tail = f"{list(kind.constants)!r}, {sorted(kind.fixed)!r}"
    return [*lines, "", f"{type_names[kind]} = StateType({kind.owner!r}, [{fields}\n], {tail})"]


def format_type(kind, type_names: dict[StateType, str]) -> str:
    """Format a numba type as Python source."""
    if isinstance(kind, StateType):
        return type_names[kind]
    if isinstance(kind, types.Array):
        return f"array({format_type(kind.dtype, type_names)}, {kind.ndim}, {kind.layout!r})"
    if isinstance(kind, types.BaseTuple):
        return f"tuple_of([{', '.join(format_type(item, type_names) for item in kind.types)}])"
    return "boolean" if isinstance(kind, types.Boolean) else str(kind)
