"""Policy files to a Policy, each part with its file and line.

The only module of the core that reads files. Raises PolicyError, whose problems
name file, line, key, what is wrong and what would be right.
"""

import hashlib
from pathlib import Path

from enforcer.policy.document import (
    ConnectUrlDocument,
    OwnRootsDocument,
    PackDocument,
    PolicyDocument,
    RuleDocument,
    SinkholeDocument,
)
from enforcer.policy.model import ConnectUrl, Issuer, Match, Policy, Refusal, Rule, Source
from enforcer.policy.source import Located, PolicyError, Problem

DEFAULT_POLICY = "default.yaml"


def builtin_policies() -> Path:
    """The policies that ship: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "policies"
    return installed if installed.is_dir() else package.parent / "policies"


def load_policy(path: Path | None = None) -> Policy:
    """The policy at ``path``, or the embedded default, with its packs and roots."""
    return _Loader().load(path or builtin_policies() / DEFAULT_POLICY)


class _Loader:
    """Reads one policy; remembers each file and the digest of all their bytes."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.digest = hashlib.sha256()

    def load(self, path: Path) -> Policy:
        located = self._open(path)
        document = located.validate(PolicyDocument)
        own = self._rules(located, document.rules, from_pack=False)
        packs = [
            rule
            for index, name in enumerate(document.include)
            for rule in self._pack(located, index, path.parent, name)
        ]
        urls = tuple(
            self._connect_url(located, index, path.parent, url)
            for index, url in enumerate(document.connect_urls)
        )
        return Policy(
            mode=document.mode,
            default=Rule(
                id="default",
                action=document.default,
                match=Match(),
                reason="no rule matches, so the policy's default applies",
                source=located.source(("default",)),
            ),
            connect_urls=urls,
            rules=(*own, *packs),
            dns_on_failure=document.on_failure.dns,
            tls_on_failure=document.on_failure.tls,
            files=tuple(self.files),
            digest=self.digest.hexdigest()[:16],
            source=located.source(),
        )

    def _read(self, path: Path, source: Source, key: str) -> bytes:
        try:
            content = path.read_bytes()
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror}"
            remedy = "correct the path, or the file's permissions"
            raise PolicyError([Problem(source, key, problem, remedy)]) from None
        self.files.append(str(path))
        self.digest.update(len(content).to_bytes(8, "big") + content)
        return content

    def _open(self, path: Path, source: Source | None = None, key: str = "") -> Located:
        content = self._read(path, source or Source(str(path), 1), key)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            problem = Problem(Source(str(path), line), "", str(error), "save the file as UTF-8")
            raise PolicyError([problem]) from None
        return Located(str(path), text)

    def _pack(self, located: Located, index: int, beside: Path, name: str) -> list[Rule]:
        source = located.source(("include", index))
        found = beside / name
        if not found.is_file():
            found = builtin_policies() / name
        pack = self._open(found, source, f"include[{index}]")
        return self._rules(pack, pack.validate(PackDocument).rules, from_pack=True)

    def _rules(
        self, located: Located, rules: tuple[RuleDocument, ...], *, from_pack: bool
    ) -> list[Rule]:
        return [
            Rule(
                id=rule.id,
                action=rule.action,
                match=Match(**dict(rule.match)),
                reason=rule.reason or f"rule {rule.id}",
                source=located.source(("rules", index)),
                refusal=_refusal(rule),
                sinkhole=(
                    rule.refusal.sinkhole if isinstance(rule.refusal, SinkholeDocument) else ()
                ),
                from_pack=from_pack,
            )
            for index, rule in enumerate(rules)
        ]

    def _connect_url(
        self, located: Located, index: int, beside: Path, url: ConnectUrlDocument
    ) -> ConnectUrl:
        source = located.source(("connect_urls", index))
        if isinstance(url.issuer, OwnRootsDocument):
            pem = b"\n".join(
                self._read(beside / name, source, f"connect_urls[{index}].issuer.roots")
                for name in url.issuer.roots
            )
            _check_roots(
                pem,
                located.problem(
                    ("connect_urls", index, "issuer", "roots"),
                    "no certificate could be read from these files",
                    "give PEM files that hold the trust anchors",
                ),
            )
            issuer = Issuer("own", pem)
        else:
            issuer = Issuer(url.issuer)
        return ConnectUrl(
            host=url.host,
            port=url.port,
            issuer=issuer,
            region_hosts=url.region_hosts,
            addresses=url.addresses,
            source=source,
        )


def _check_roots(pem: bytes, problem: Problem) -> None:
    from cryptography import x509  # noqa: PLC0415 only policies with roots of their own pay for it

    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise PolicyError([problem]) from None


def _refusal(rule: RuleDocument) -> Refusal:
    return Refusal.SINKHOLE if isinstance(rule.refusal, SinkholeDocument) else rule.refusal


def is_builtin(policy: Policy) -> bool:
    """Whether this is the embedded default, as ``make run`` starts it."""
    return Path(policy.source.file) == builtin_policies() / DEFAULT_POLICY
