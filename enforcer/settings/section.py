"""What every section of the settings file has in common."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _expand(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(value)!r}: there is no such home; write it in full") from None


FilePath = Annotated[Path, AfterValidator(_expand)]


class Section(BaseModel):
    # Defaults are written as a person would write them, and checked like what is written.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )
