"""YAML that remembers where each value stands, and errors that say it.

Text in, values out: callers read the file. Used for policies and for settings.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from enforcer.policy.faults import Path, explain_faults
from enforcer.policy.model import Source

# Deeper than any file of ours.
MAX_DEPTH = 32
# A node takes at least a character; what is far beyond that are aliases of aliases.
_NODES_PER_CHAR = 8
# Of a window: a number there was meant as a time.
_TIMES_OF_DAY = (("from",), ("to",))
_KEY_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"})

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
            faults = explain_faults(model, error.errors(include_url=False), self.known)
            raise PolicyError([self.problem(*fault) for fault in faults]) from None

    def known(self, path: Path) -> Path:
        """``path`` without what the file does not have, such as pydantic's union tags."""
        known: Path = ()
        for part in path:
            if (*known, part) in self._lines:
                known = (*known, part)
        return known

    def _read(self, text: str) -> Any:
        loader = None
        try:
            loader = yaml.CSafeLoader(text)
            node = loader.get_single_node()
            if node is None:
                return {}
            problems = list(_Walk(self, self._lines, loader, text).walk(node))
            if problems:
                raise PolicyError(problems)
            return loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            raise PolicyError([self._syntax(error, text)]) from None
        except UnicodeEncodeError as error:
            line = text.count("\n", 0, error.start) + 1
            problem, remedy = "there is half a character here (a surrogate)", "remove it"
            raise PolicyError([Problem(Source(self.file, line), "", problem, remedy)]) from None
        except yaml.reader.ReaderError as error:
            line = text.encode()[: error.position].count(b"\n") + 1
            problem = f"there is a character that YAML does not allow, #x{error.character:02x}"
            remedy = "remove it, and save the file as UTF-8 text"
            raise PolicyError([Problem(Source(self.file, line), "", problem, remedy)]) from None
        finally:
            if loader:
                loader.dispose()

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> Problem:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if any(
            written.lstrip(" ").startswith("\t") for written in text.split("\n")[line - 1 : line]
        ):
            problem, remedy = "this line is indented with a tab", "use spaces"
            return Problem(Source(self.file, line), "", problem, remedy)
        problem = error.problem or "this is not YAML"
        if error.context and error.context_mark:
            problem = f"{error.context} from line {error.context_mark.line + 1}, {problem}"
        return Problem(
            Source(self.file, line), "", problem, "correct the YAML on this line or just above it"
        )


class _Walk:
    """One pass over the nodes: notes the lines, and finds what YAML accepts and we do not."""

    def __init__(
        self, located: Located, lines: dict[Path, int], loader: yaml.CSafeLoader, text: str
    ) -> None:
        self._located = located
        self._lines = lines
        self._loader = loader
        self._left = _NODES_PER_CHAR * len(text)
        self._above: set[int] = set()

    def walk(self, node: yaml.Node, path: Path = ()) -> Iterator[Problem]:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._left -= 1
        if id(node) in self._above:
            yield self._problem(path, "this alias stands inside what it stands for", "remove it")
        elif len(path) > MAX_DEPTH:
            yield self._problem(path[:3], f"nested deeper than {MAX_DEPTH} levels", "write it flat")
        elif self._left == 0:
            yield self._problem(path[:1], "its aliases make the file too large", "write them out")
        elif self._left < 0:
            return
        elif isinstance(node, yaml.ScalarNode):
            yield from self._scalar(node, path)
        else:
            self._above.add(id(node))
            yield from self._below(node, path)
            self._above.discard(id(node))

    def _below(self, node: yaml.Node, path: Path) -> Iterator[Problem]:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from self._entry(key, value, path)
        else:
            for index, value in enumerate(node.value):
                yield from self.walk(value, (*path, index))

    def _entry(self, key: yaml.Node, value: yaml.Node, path: Path) -> Iterator[Problem]:
        below = (*path, str(key.value))
        line = key.start_mark.line + 1
        where = Source(self._located.file, line)
        if key.tag not in _KEY_TAGS:
            shown = f" {key.value}" if isinstance(key, yaml.ScalarNode) else ""
            problem = f"YAML does not read the key{shown} as text"
            yield Problem(where, render_path(path), problem, "write a word, or put it in quotes")
            return
        if below in self._lines:
            problem = f"this key stands already on line {self._lines[below]}"
            yield Problem(where, render_path(below), problem, "keep one of the two")
        self._lines[below] = line
        yield from self.walk(value, below)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Iterator[Problem]:
        plain = not node.style
        resolve: Any = self._loader.resolve
        implied = resolve(yaml.ScalarNode, node.value, (plain, not plain))
        if node.tag != implied:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            yield self._problem(path, f"the tag {tag} is not used here", "remove it")
            return
        try:
            value = self._loader.construct_object(node)
        except ValueError:
            problem = f"YAML takes {node.value!r} for a date or a number, and it is none"
            yield self._problem(path, problem, "put it in quotes")
            return
        # YAML 1.1 has octal (0443 is 291), base 60 (1:30 is 90) and more.
        if type(value) is int and str(value) != node.value:
            problem = f"YAML reads {node.value!r} as the number {value}"
            remedy = f"write {value} if you mean it, else use quotes"
            if path[-1:] in _TIMES_OF_DAY:
                remedy = f'write "{node.value}" in quotes'
            yield self._problem(path, problem, remedy)

    def _problem(self, path: Path, problem: str, remedy: str) -> Problem:
        return self._located.problem(path, problem, remedy)


def render_path(path: Path) -> str:
    """``rules[2].match.names`` for ``("rules", 2, "match", "names")``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
