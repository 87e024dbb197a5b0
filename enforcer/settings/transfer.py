"""``dns.transfers``: policy zones that are fetched from a primary (AXFR, IXFR)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from enforcer.policy.names import parse_host
from enforcer.settings.endpoint import DNS_PORT, Endpoint, parse_endpoint
from enforcer.settings.section import FilePath, Section


def _name(value: Any) -> Any:
    return parse_host(str(value))


def _primary(value: Any) -> Any:
    if isinstance(value, Endpoint):
        return value
    endpoint = parse_endpoint(str(value), DNS_PORT)
    if not endpoint.port:
        raise ValueError(f"{value!r} has port 0, where nobody listens; write {DNS_PORT}")
    return endpoint


_TEXT = WithJsonSchema({"type": "string"})
Name = Annotated[str, BeforeValidator(_name), _TEXT]
Primary = Annotated[Any, BeforeValidator(_primary), _TEXT]


class TsigSettings(Section):
    """The key that transfers are signed with (RFC 8945)."""

    name: Name
    """The key's name, as the primary has it."""
    algorithm: Literal["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] = (
        "hmac-sha256"
    )
    """What the key is for."""
    secret_file: FilePath
    """A file with the secret in base64, and nothing else."""


class TransferSettings(Section):
    """A zone, and who has it."""

    zone: Name
    """The name of the zone."""
    primary: Primary
    """Address of the server that it is fetched from; port 53 when left out."""
    file: FilePath
    """Where it is written; the policy names the same file under ``rpz``."""
    tsig: TsigSettings | None = None
    """The key; without one, whoever can answer for the primary makes the policy."""

    def beside(self, folder: Path) -> "TransferSettings":
        """The same with its paths relative to a folder."""
        tsig = self.tsig
        if tsig:
            tsig = tsig.model_copy(update={"secret_file": folder / tsig.secret_file})
        return self.model_copy(update={"file": folder / self.file, "tsig": tsig})
