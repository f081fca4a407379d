"""YAML configs: read, checked against the signatures of the classes that they name, and built.

Classes are found by name, so nothing here knows a layer or an optimizer. Training what a config describes is in
`runs`.
"""

from .config import Config as Config
from .config import Experiment as Experiment
from .config import load_config as load_config
from .config import parse_config as parse_config
from .config_files import list_packaged_configs as list_packaged_configs
from .errors import ConfigError as ConfigError
from .errors import Place as Place
from .errors import Problem as Problem
from .permissions import allow_imports as allow_imports
from .permissions import no_imports as no_imports

__all__ = [
    "Config",
    "ConfigError",
    "Experiment",
    "Place",
    "Problem",
    "allow_imports",
    "list_packaged_configs",
    "load_config",
    "no_imports",
    "parse_config",
]
