"""Checks of settings, shared by optimizers and schedules."""

from math import inf


def check_not_negative(owner: str, **settings: float) -> None:
    """Raise ValueError unless each setting is a finite number of at least zero."""
    for name, value in settings.items():
        if not 0 <= value < inf:
            raise ValueError(f"{owner}: {name} is {value}, expected {'a finite number' if value > 0 else 'at least 0'}")


def check_positive(owner: str, **settings: float) -> None:
    """Raise ValueError unless each setting is a number above zero."""
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{owner}: {name} is {value}, expected more than 0")


def check_fraction(owner: str, **settings: float) -> None:
    """Raise ValueError unless each setting is a number from 0 to below 1."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ValueError(f"{owner}: {name} is {value}, expected 0 to below 1")


def check_fractions(owner: str, **settings: tuple[float, float]) -> None:
    """Raise ValueError unless each setting is two numbers from 0 to below 1."""
    for name, values in settings.items():
        if len(values) != 2 or not all(0 <= value < 1 for value in values):
            raise ValueError(f"{owner}: {name} is {tuple(values)}, expected two numbers from 0 to below 1")


def check_count(owner: str, least: int, **settings: int) -> None:
    """Raise ValueError unless each setting is a whole number of at least `least`."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{owner}: {name} is {value}, expected a whole number of at least {least}")
