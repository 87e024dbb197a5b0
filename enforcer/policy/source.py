"""YAML that remembers where each value stands, and errors that say it.

Text in, values out: callers read the file. Used for policies and for settings.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from enforcer.policy.model import Source

# Deeper than any file of ours; a recursive alias would never end.
MAX_DEPTH = 32

Path = tuple[str | int, ...]
Document = TypeVar("Document", bound=BaseModel)


class Problem(NamedTuple):
    """One thing wrong with a file, and what would be right."""

    source: Source
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.source}: {key}{self.problem}; {self.remedy}"


class PolicyError(Exception):
    """A policy or settings file that must not be used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Located:
    """A YAML document: its plain value, and the line of every part of it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines: dict[Path, int] = {(): 1}
        self.value = self._read(text)

    def source(self, path: Path = ()) -> Source:
        """Where ``path`` stands, or the nearest part of it that the file has."""
        while path not in self._lines:
            path = path[:-1]
        return Source(self.file, self._lines[path])

    def problem(self, path: Path, problem: str, remedy: str) -> Problem:
        return Problem(self.source(path), render_path(path), problem, remedy)

    def validate(self, model: type[Document]) -> Document:
        """The document as ``model``; PolicyError names every fault of it."""
        try:
            return model.model_validate(self.value)
        except ValidationError as error:
            raise PolicyError(self._explain(model, error)) from None

    def _read(self, text: str) -> Any:
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}
            problems = list(self._walk(node, ()))
            if problems:
                raise PolicyError(problems)
            return loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            message = error.problem or "not YAML"
            raise PolicyError(
                [Problem(Source(self.file, line), "", message, "see the YAML syntax of this line")]
            ) from None
        except (yaml.YAMLError, ValueError) as error:
            raise PolicyError(
                [Problem(Source(self.file, 1), "", str(error), "write the file as UTF-8 YAML")]
            ) from None
        finally:
            loader.dispose()

    def _walk(self, node: yaml.Node, path: Path) -> Iterator[Problem]:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > MAX_DEPTH:
            yield self.problem(path[:3], "nested too deep", "remove the recursive alias")
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below = (*path, str(key.value))
                if below in self._lines:
                    yield Problem(
                        Source(self.file, key.start_mark.line + 1),
                        render_path(below),
                        f"this key stands already on line {self._lines[below]}",
                        "keep one of the two",
                    )
                self._lines[below] = key.start_mark.line + 1
                yield from self._walk(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from self._walk(value, (*path, index))

    def _explain(self, model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
        seen = set()
        for fault in error.errors(include_url=False):
            path = self._known(tuple(fault["loc"]))
            problem, remedy = _say(model, fault)
            where = path if fault["type"] != "missing" else (*path, fault["loc"][-1])
            if (where, problem) not in seen:
                seen.add((where, problem))
                yield Problem(self.source(path), render_path(where), problem, remedy)

    def _known(self, path: Path) -> Path:
        # pydantic adds union tags to the path; the file does not have them.
        known: Path = ()
        for part in path:
            if (*known, part) in self._lines:
                known = (*known, part)
        return known


def render_path(path: Path) -> str:
    """``rules[2].match.names`` for ``("rules", 2, "match", "names")``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _say(model: type[BaseModel], fault: Any) -> tuple[str, str]:
    """Problem and remedy in words, for one of pydantic's faults."""
    given = repr(fault["input"])
    match fault["type"]:
        case "extra_forbidden":
            return "unknown key", _suggest(str(fault["loc"][-1]), _keys(model, fault["loc"][:-1]))
        case "missing":
            return "this key is missing", "add it"
        case "enum" | "literal_error":
            return f"{given} is not known here", f"write {fault['ctx']['expected']}"
        case "value_error":
            problem, _, remedy = str(fault["ctx"]["error"]).partition("; ")
            return problem, remedy or "correct it"
        case "tuple_type" | "list_type":
            return f"{given} is not a list", f"write [{fault['input']}]"
        case "bool_type" | "string_type" if isinstance(fault["input"], bool):
            return f"YAML reads this as {given}", "put it in quotes"
        case _:
            message = str(fault["msg"])
            return f"{given}: {message[0].lower()}{message[1:]}", "correct it"


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model has at ``path``; union tags and indices are stepped over."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is not None and isinstance(part, str) and part in _by_alias(current):
            current = _model_in(current.model_fields[_by_alias(current)[part]].annotation)
    return sorted(_by_alias(current)) if current else []


def _by_alias(model: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: name for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"the keys here are {', '.join(known)}" if known else "remove it"
