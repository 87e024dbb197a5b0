"""What `enforcer check` does: each file judged as what it is, settings, policy or pack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enforcer.audit.text import printable
from enforcer.policy.admit import admit_policy
from enforcer.policy.compile import compile_policy
from enforcer.policy.document import render_pack_schema, render_policy_schema
from enforcer.policy.load import load_pack, read_document
from enforcer.policy.model import Policy, Source
from enforcer.policy.source import PolicyError, Problem

# What only a policy has, and what settings have not.
_POLICY_KEYS = frozenset(
    ["mode", "default", "include", "connect_urls", "on_failure", "rpz", "delegation", "strip_ech"]
)
_PACK_KEYS = frozenset({"version", "description", "groups", "rules"})


class Checked(NamedTuple):
    """A file that may be used."""

    summary: str
    warnings: tuple[Problem, ...]


def check_file(path: Path | None) -> Checked:
    """Raises PolicyError for a file that must not be used. None is the embedded default."""
    if path is None:
        return _check_policy(None)
    keys = _top_level_keys(path)
    if keys & _POLICY_KEYS:
        return _check_policy(path)
    if keys & _PACK_KEYS:
        pack = compile_policy(load_pack(path)).policy
        summary = f"{path}: ok: a pack of {len(pack.rules)} rules"
        return Checked("\n".join((summary, *_describe_lists(pack))), ())
    return _check_settings(path)


def render_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file. Raises PolicyError for an unknown kind."""
    from enforcer.settings.load import render_settings_schema

    schemas = {
        "policy": render_policy_schema,
        "pack": render_pack_schema,
        "settings": render_settings_schema,
    }
    if kind not in schemas:
        raise PolicyError(
            [Problem(Source("--schema", 1), kind, "no such kind", f"write {' or '.join(schemas)}")]
        )
    return schemas[kind]()


def _check_policy(path: Path | None) -> Checked:
    compiled = admit_policy(path)
    policy = compiled.policy
    summary = (
        f"{policy.source.file}: ok: {policy.mode.value} mode, {len(policy.rules)} rules, "
        f"Connect URL {compiled.hint or 'none'}, digest {policy.digest}"
    )
    return Checked("\n".join((summary, *_describe_lists(policy))), compiled.warnings)


def _describe_lists(policy: Policy) -> Iterator[str]:
    """How much was read of each list and zone, and the lines that were not."""
    for found in policy.lists:
        count = found.rejected_count
        rejected = f", {count} {'line' if count == 1 else 'lines'} rejected" if count else ""
        yield f"{found.path}: {found.entries} entries{rejected}"
        for line, text, why in found.rejected:
            yield printable(f"  line {line}: {text}: {why}")
        if count > len(found.rejected):
            yield f"  and {count - len(found.rejected)} more"


def _check_settings(path: Path) -> Checked:
    from enforcer.settings.load import load_settings

    settings = load_settings(path)
    policy = _check_policy(settings.policy)
    return Checked(f"{path}: ok: settings\n{policy.summary}", policy.warnings)


def _top_level_keys(path: Path) -> set[str]:
    value = read_document(path).value
    return set(value) if isinstance(value, dict) else set()
