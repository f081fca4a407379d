"""Ends of messages about values of a wrong type, as constructors and containers raise them."""


def describe_wrong_type(value: object, expected: str) -> str:
    """What a value is, what was expected, such as "a Module", and how to make an object of a class."""
    if isinstance(value, type):
        return f"the class {value.__name__}, expected {expected}; write {value.__name__}(...)"
    return f"{value!r:.60}, expected {expected}"
