"""What can go wrong, as a small family.

Every message says what is wrong (names and numbers), what was expected, and the call that mends it.
"""

__all__ = ["GridError", "ModelError", "SchemaError", "StoreError", "XaqError", "XaqWarning"]


class XaqError(Exception):
    """Root of every error that xaq raises on purpose."""


class SchemaError(XaqError, ValueError):
    """A station dataset or table is not what xaq needs; lists all problems at once."""

    def __init__(self, problems: list[str] | str, *, subject: str = "station dataset") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        if len(self.problems) == 1:
            message = f"{subject}: {self.problems[0]}"
        else:
            lines = "\n".join(f"  {i}. {text}" for i, text in enumerate(self.problems, 1))
            message = f"{subject}: {len(self.problems)} problems\n{lines}"
        super().__init__(message)


class GridError(XaqError, ValueError):
    """A grid, a point or a period lies where no estimate can be made."""


class ModelError(XaqError, ValueError):
    """A model does not fit the data it is used on, or its file cannot be read."""


class StoreError(XaqError, OSError):
    """A cube store cannot be written, resumed or opened."""


class XaqWarning(UserWarning):
    """Something xaq did that a careful user wants to know."""
