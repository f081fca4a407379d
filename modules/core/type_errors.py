"""Texts of errors about values of a wrong type."""


def describe_wrong_type(value: object, expected: str) -> str:
    """Describe a value of a wrong type, what was expected, such as "a Module", and how to make one."""
    if isinstance(value, type):
        return f"the class {value.__name__}, expected {expected}; write {value.__name__}(...)"
    return f"{value!r:.60}, expected {expected}"
