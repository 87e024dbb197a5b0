"""pydantic's findings in a person's words: one problem and one remedy for each place.

Called by source; knows nothing of files and lines.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel

Path = tuple[str | int, ...]

# Longer than any name; what is cut off is a list or a block that stands in the file.
_SHOWN_CHARS = 300
# What pydantic also says of a place when something below it is the real fault.
_ECHOES = frozenset({"literal_error", "model_type", "too_short"})


class Fault(NamedTuple):
    """What is wrong at ``place``, and what would be right."""

    place: Path
    problem: str
    remedy: str


def explain_faults(
    model: type[BaseModel], errors: Iterable[Any], known: Callable[[Path], Path]
) -> Iterator[Fault]:
    """One fault a place. ``known`` takes out of a path what the file does not have.

    Of the branches of a union, the one that the file seems to mean is explained.
    """
    placed = [(_place(error, known), error) for error in errors]
    above = {place[:length] for place, _ in placed for length in range(len(place))}
    meant = {(*place[:-1], _close(model, error)) for place, error in placed if _is_extra(error)}
    # A branch that was meant has been read further, up to a check of its own.
    read = {place for place, error in placed if error["type"] == "value_error"}
    told = set()
    for place, error in placed:
        echo = (place in above or place in read) and error["type"] in _ECHOES
        misspelt = place in meant and error["type"] == "missing"
        if not echo and not misspelt and place not in told:
            told.add(place)
            problem, remedy = _say(model, error)
            yield Fault(place, _cut(problem), remedy)


def _place(error: Any, known: Callable[[Path], Path]) -> Path:
    path = known(tuple(error["loc"]))
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _is_extra(error: Any) -> bool:
    return bool(error["type"] == "extra_forbidden")


def _say(model: type[BaseModel], error: Any) -> tuple[str, str]:
    given = error["input"]
    if _is_extra(error):
        close = _close(model, error)
        return "unknown key", f"did you mean {close}?" if close else _list_keys(model, error)
    if error["type"] == "missing":
        choices = _choices(_annotation_at(model, error["loc"]))
        return "this key is missing", f"add {error['loc'][-1]}" + (
            f": {choices}" if choices else ""
        )
    if given is None:
        return "there is nothing here", "give it a value, or remove it"
    problem, remedy = _say_of_value(model, error)
    if isinstance(given, bool | date):
        problem = (
            f"YAML reads this as {str(given).lower() if isinstance(given, bool) else 'a date'}"
        )
    return problem, remedy


def _say_of_value(model: type[BaseModel], error: Any) -> tuple[str, str]:
    given = error["input"]
    match error["type"]:
        case "enum" | "literal_error":
            choices = _choices(_annotation_at(model, error["loc"]))
            return f"{given!r} is not known here", f"write {choices}"
        case "value_error":
            problem, _, remedy = str(error["ctx"]["error"]).rpartition("; ")
            return (problem, remedy) if problem else (remedy, "correct it")
        case "string_type" | "path_type":
            scalar = not isinstance(given, list | dict)
            return f"{given!r} is not text", "put it in quotes" if scalar else "write one value"
        case "tuple_type" | "list_type":
            return f"{given!r} is not a list", _write_list(given)
        case "model_type":
            return f"{given!r} stands where keys are wanted", _list_keys(model, error)
        case "too_short":
            return "this list is empty", "give it an entry, or remove the key"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{given!r} is not a whole number", "write a number"
        case "bool_type" | "bool_parsing":
            return f"{given!r} is neither true nor false", "write true or false"
        case _:
            message = str(error["msg"])
            return f"{given!r}: {message[0].lower()}{message[1:]}", "correct it"


def _write_list(given: Any) -> str:
    if isinstance(given, bool):
        return "write a list"
    return f"write [{given}]" if isinstance(given, str | int) else "start each entry with a dash"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _close(model: type[BaseModel], error: Any) -> str:
    """The key that an unknown one was probably meant to be, or nothing."""
    keys = _fields_in(_annotation_at(model, error["loc"][:-1]))
    return next(iter(difflib.get_close_matches(str(error["loc"][-1]), keys, n=1)), "")


def _list_keys(model: type[BaseModel], error: Any) -> str:
    place = error["loc"][:-1] if _is_extra(error) else error["loc"]
    keys = sorted(_fields_in(_annotation_at(model, place)))
    return f"the keys here are {', '.join(keys)}" if keys else "remove it"


def _choices(annotation: Any) -> str:
    """What may be written for an enum, a Literal, or a union with either; else nothing."""
    *first, last = list(_options(annotation)) or [""]
    return f"{', '.join(first)} or {last}" if first else last


def _options(annotation: Any, *, in_union: bool = False) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(member.value) for member in annotation)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = list(_fields_in(annotation).items())
        for key, wanted in fields if in_union else fields[:1]:
            yield f"{{{key}: {'[...]' if get_origin(wanted) in (tuple, list) else '...'}}}"
    else:
        for argument in get_args(annotation):
            yield from _options(argument, in_union=True)


def _annotation_at(model: type[BaseModel], path: Path) -> Any:
    """The type of what stands at ``path``; union tags and indices are stepped over."""
    annotation: Any = model
    for part in path:
        annotation = _fields_in(annotation).get(part, annotation)
    return annotation


def _fields_in(annotation: Any) -> dict[Any, Any]:
    """The keys of the model in an annotation, with the type of each."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return {field.alias or name: field.annotation for name, field in fields.items()}
    for argument in get_args(annotation):
        if found := _fields_in(argument):
            return found
    return {}
