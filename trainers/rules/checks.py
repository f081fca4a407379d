"""Checks of the settings of learning rules."""


def check_scale(owner: str, value: float, name: str = "scale") -> float:
    """Return a number as a float; ValueError unless it is positive."""
    if not value > 0:
        raise ValueError(f"{owner}: {name} is {value}, expected above 0")
    return float(value)


def check_at_least(owner: str, least: int, **values: int) -> None:
    """Raise ValueError for a whole number below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{owner}: {name} is {value}, expected at least {least}")
