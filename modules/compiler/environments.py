"""numba's Environments: the Python objects that compiled code refers to, such as those of `print` and of errors.

numba keeps the constants of each function in an `Environment`, and its code finds that through a global variable, which
numba sets when Python can call the function. Inner functions are never called by Python. So here that variable becomes
an external symbol, named by a digest of the constants, which the linker resolves: in this process, and in another one
that reads the code from the cache.
"""

import ctypes
import hashlib
import re

from .numba_api import Environment, dumps, llvm, lookup_environment

DEFINITION = re.compile(r'^@("?)(_ZN08NumbaEnv[^"\s]*)\1 = .*\bglobal (\S+) null.*$', re.MULTILINE)
REFERENCE = re.compile(r'@("?)(_ZN08NumbaEnv[^"\s,)]*)\1')
CONSTANTS: dict[str, list] = {}  # by symbol, for the cache of code
_kept_alive: dict[str, tuple] = {}  # by symbol: the Environment and the word that holds its address


def bind_environments(text: str) -> tuple[str, set[str]]:
    """LLVM text in which environments are external symbols; and the symbols whose constants a cache must store."""
    names = {name: define_constants(name) for _, name, _ in DEFINITION.findall(text)}
    if not names:
        return text, set()
    pointer = DEFINITION.findall(text)[0][2]
    text = REFERENCE.sub(
        lambda match: f"@{names[match[2]]}" if match[2] in names else match[0], DEFINITION.sub("", text)
    )
    symbols = sorted(set(names.values()))
    new = [symbol for symbol in symbols if f"@{symbol} = " not in text]  # a function that is linked in may have it, too
    return text + "".join(f"\n@{symbol} = external global {pointer}\n" for symbol in new), {*symbols} - {EMPTY}


def define_constants(name: str) -> str:
    """Define the symbol of an Environment with the constants of the one that numba calls `name`."""
    environment = lookup_environment(name)
    return define_environment(list(environment.consts) if environment is not None else [])


def define_environment(constants: list) -> str:
    """Define the symbol of an Environment with these constants for the linker."""
    symbol = f"bprop.environment.{hashlib.sha256(dumps(constants)).hexdigest()[:24]}"
    load_environment(symbol, constants)
    return symbol


def load_environment(symbol: str, constants: list) -> None:
    """Define an Environment's symbol for the linker."""
    if symbol not in _kept_alive:
        environment = Environment({})
        environment.consts.extend(constants)
        word = ctypes.c_void_p(id(environment))
        llvm.add_symbol(symbol, ctypes.addressof(word))
        _kept_alive[symbol], CONSTANTS[symbol] = (environment, word), constants


EMPTY = define_environment([])
