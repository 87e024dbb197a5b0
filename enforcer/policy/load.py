"""Policy files to a Policy, each part with its file and line.

The only module of the core that reads files. Raises PolicyError, whose problems
name file, line, key, what is wrong and what would be right.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from enforcer.policy.document import (
    ConnectUrlDocument,
    OwnRootsDocument,
    PackDocument,
    PolicyDocument,
    RpzDocument,
)
from enforcer.policy.lists import NameList, Rejected, load_list
from enforcer.policy.model import (
    Action,
    ConnectUrl,
    Issuer,
    ListReport,
    Match,
    Mode,
    OnFailure,
    Policy,
    Rule,
    Source,
)
from enforcer.policy.rpz import Zone, load_rpz
from enforcer.policy.rules import Place, RuleReader
from enforcer.policy.source import Located, PolicyError, Problem, render_path

DEFAULT_POLICY = "default.yaml"
# What is read of a list at a time: a thread that works on more holds up the others.
_CHUNK_BYTES = 1 << 16


def builtin_policies() -> Path:
    """The policies that ship: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "policies"
    return installed if installed.is_dir() else package.parent / "policies"


def builtin_packs() -> list[str]:
    """The packs that ship, as a policy includes them."""
    policies = builtin_policies()
    return sorted(pack.relative_to(policies).as_posix() for pack in policies.glob("packs/*.yaml"))


def load_policy(path: Path | None = None) -> Policy:
    """The policy at ``path``, or the embedded default, with its packs and roots."""
    return _Loader().load(path or builtin_policies() / DEFAULT_POLICY)


def load_pack(path: Path) -> Policy:
    """A policy of nothing but the pack at ``path``, so that a pack can be checked by itself."""
    return _Loader().load_pack(path)


def read_document(path: Path) -> Located:
    """The YAML at ``path``. Raises PolicyError when it cannot be read, or is not YAML."""
    return _decode(path, _read(path, Source(str(path), 0)))


class _Loader:
    """Reads one policy; remembers each file and the digest of all their bytes."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.digest = hashlib.sha256()
        self.problems: list[Problem] = []
        self.lists: dict[Path, NameList] = {}
        self.reports: list[ListReport] = []

    def load(self, path: Path) -> Policy:
        located = self._open(path)
        document = located.validate(PolicyDocument)
        own = self._rules(located, document, path.parent, from_pack=False)
        packs = self._packs(located, document.include, path.parent)
        urls = tuple(
            self._connect_url(located, index, path.parent, url)
            for index, url in enumerate(document.connect_urls)
        )
        # A disabled zone only says what it would do, so it hides none that does something.
        by_effect = sorted(enumerate(document.rpz), key=lambda zone: zone[1].override == "disabled")
        zones = [
            self._zone(located, ("rpz", index), path.parent, zone) for index, zone in by_effect
        ]
        if self.problems:
            raise PolicyError(self.problems)
        return Policy(
            mode=document.mode,
            default=_default_rule(document.default, located.source(("default",))),
            connect_urls=urls,
            rules=tuple(_ranked([*own, *packs], zones)),
            dns_on_failure=document.on_failure.dns,
            tls_on_failure=document.on_failure.tls,
            files=tuple(self.files),
            digest=self.digest.hexdigest()[:16],
            source=located.source(),
            delegation=document.delegation,
            strip_ech=document.strip_ech,
            lists=tuple(self.reports),
        )

    def load_pack(self, path: Path) -> Policy:
        pack = self._open(path)
        rules = self._rules(pack, pack.validate(PackDocument), path.parent, from_pack=True)
        if self.problems:
            raise PolicyError(self.problems)
        return Policy(
            mode=Mode.ENFORCE,
            default=_default_rule(Action.ALLOW, pack.source()),
            connect_urls=(),
            rules=tuple(_ranked(rules, [])),
            dns_on_failure=OnFailure.CLOSED,
            tls_on_failure=OnFailure.CLOSED,
            files=tuple(self.files),
            digest="",
            source=pack.source(),
            lists=tuple(self.reports),
        )

    def _read(self, path: Path, source: Source, key: str = "") -> bytes:
        content = _read(path, source, key)
        self.files.append(str(path))
        self.digest.update(len(content).to_bytes(8, "big") + content)
        return content

    def _open(self, path: Path, source: Source | None = None, key: str = "") -> Located:
        return _decode(path, self._read(path, source or Source(str(path), 0), key))

    def _chunks(self, path: Path, source: Source, key: str) -> Iterator[bytes]:
        """The bytes of a file that may be large, piece by piece; hashed on the way."""
        read = 0
        try:
            with path.open("rb", buffering=0) as file:
                self.files.append(str(path))
                while chunk := file.read(_CHUNK_BYTES):
                    self.digest.update(chunk)
                    read += len(chunk)
                    yield chunk
        except (OSError, ValueError) as error:
            raise _unreadable(path, source, key, error) from None
        self.digest.update(read.to_bytes(8, "big"))

    def _rules(
        self,
        located: Located,
        document: PolicyDocument | PackDocument,
        beside: Path,
        *,
        from_pack: bool,
    ) -> tuple[Rule, ...]:
        def open_list(name: str, place: Place) -> NameList:
            return self._list(beside / name, located.source(place), render_path(place))

        reader = RuleReader(located, document.groups, open_list)
        rules = reader.read(document.rules, from_pack=from_pack)
        self.problems += reader.problems
        return rules

    def _list(self, path: Path, source: Source, key: str) -> NameList:
        """The list at ``path``; one that several rules name is read once."""
        if path not in self.lists:
            chunks = self._chunks(path, source, key)
            found = load_list(str(path), chunks, _size(path))
            if found.rejected and not found.entries:
                raise PolicyError([_no_list(found.path, found.rejected[0])])
            self.lists[path] = found
            self._report(found)
        return self.lists[path]

    def _report(self, found: NameList | Zone) -> None:
        report = ListReport(found.path, found.entries, found.rejected, found.rejected_count)
        self.reports.append(report)

    def _zone(
        self, located: Located, place: Place, beside: Path, zone: RpzDocument
    ) -> tuple[Rule, ...]:
        place = (*place, "file")
        path = beside / zone.file
        try:
            chunks = self._chunks(path, located.source(place), render_path(place))
            found = load_rpz(
                zone.id,
                str(path),
                chunks,
                reason=zone.reason,
                override=zone.override,
                size_bytes=_size(path),
            )
        except PolicyError as error:
            self.problems += error.problems
            return ()
        self._report(found)
        return found.rules

    def _packs(self, located: Located, include: tuple[str, ...], beside: Path) -> list[Rule]:
        rules: list[Rule] = []
        read: dict[Path, int] = {}
        for index, name in enumerate(include):
            place = ("include", index)
            path = _find_pack(beside, name)
            if path is None:
                built_in = ", ".join(builtin_packs())
                problem = f"there is no pack {name!r}, neither beside this file nor built in"
                remedy = f"correct the path; built in are {built_in}"
                self.problems.append(located.problem(place, problem, remedy))
            elif path.resolve() in read:
                problem = f"this pack is included already, as include[{read[path.resolve()]}]"
                self.problems.append(located.problem(place, problem, "remove it"))
            else:
                read[path.resolve()] = index
                rules += self._pack(path, located.source(place), render_path(place))
        return rules

    def _pack(self, path: Path, source: Source, key: str) -> tuple[Rule, ...]:
        try:
            pack = self._open(path, source, key)
            document = pack.validate(PackDocument)
            return self._rules(pack, document, path.parent, from_pack=True)
        except PolicyError as error:
            self.problems += error.problems
            return ()

    def _connect_url(
        self, located: Located, index: int, beside: Path, url: ConnectUrlDocument
    ) -> ConnectUrl:
        place = ("connect_urls", index)
        if isinstance(url.issuer, OwnRootsDocument):
            issuer = Issuer("own", self._roots(located, place, beside, url.issuer.roots))
        else:
            issuer = Issuer(url.issuer)
        return ConnectUrl(
            host=url.host,
            port=url.port,
            issuer=issuer,
            region_hosts=url.region_hosts,
            addresses=url.addresses,
            source=located.source(place),
        )

    def _roots(
        self, located: Located, url: tuple[str | int, ...], beside: Path, names: tuple[str, ...]
    ) -> bytes:
        found = []
        for index, name in enumerate(names):
            place = (*url, "issuer", "roots", index)
            try:
                pem = self._read(beside / name, located.source(place), render_path(place))
            except PolicyError as error:
                self.problems += error.problems
                continue
            if not _has_certificate(pem):
                problem = f"no certificate could be read from {beside / name}"
                remedy = "give a PEM file that holds the trust anchors"
                self.problems.append(located.problem(place, problem, remedy))
            found.append(pem)
        return b"\n".join(found)


def _read(path: Path, source: Source, key: str = "") -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, source, key, error) from None


def _unreadable(path: Path, source: Source, key: str, error: Exception) -> PolicyError:
    if isinstance(error, OSError):
        named_elsewhere = f"{path} " if source.file != str(path) else ""
        problem = f"{named_elsewhere}cannot be read: {error.strerror}"
        remedy = "correct the path, or the file's permissions"
    else:
        problem, remedy = f"{str(path)!r} is not a path", "remove the character that no path has"
    return PolicyError([Problem(source, key, problem, remedy)])


def _no_list(path: str, first: Rejected) -> Problem:
    problem = f"no line of it is an entry of a list: {first.text!r}: {first.why}"
    remedy = "give a file with one name a line, hosts lines or ||name^"
    return Problem(Source(path, first.line), "", problem.replace(";", ","), remedy)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # said by whoever reads it
        return 0


def _decode(path: Path, content: bytes) -> Located:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"this is not UTF-8 text, from byte {error.start} on"
        remedy = "save the file as UTF-8"
        raise PolicyError([Problem(Source(str(path), line), "", problem, remedy)]) from None
    return Located(str(path), text)


def _default_rule(action: Action, source: Source) -> Rule:
    reason = "no rule matches, so the policy's default applies"
    return Rule(id="default", action=action, match=Match(), reason=reason, source=source)


def _ranked(rules: Iterable[Rule], zones: Iterable[Iterable[Rule]]) -> Iterator[Rule]:
    """Lists in the order of the files, then zones in theirs."""
    rank = 0
    for rule in rules:
        if rule.match.lists:
            rank += 1
            yield replace(rule, rank=rank)
        else:
            yield rule
    for number, zone in enumerate(zones, 1):
        for rule in zone:
            yield replace(rule, rank=rank + number, zone=number)


def _find_pack(beside: Path, name: str) -> Path | None:
    for path in (beside / name, builtin_policies() / name):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name that no file system takes
            continue
    return None


def _has_certificate(pem: bytes) -> bool:
    from cryptography import x509  # noqa: PLC0415 only policies with roots of their own pay for it

    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False
