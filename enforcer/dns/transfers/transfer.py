"""Policy zones from their primaries: AXFR, IXFR, TSIG, by the timers of their SOA.

Each zone has a thread of its own, since dnspython's transfers block. A zone that has come
in whole is put in the place of the old copy, and the reload of the policy, which watches
the file, does the rest. A zone past its expire time is reported and stays in force: no
policy would be worse than an old one.
"""

import base64
import binascii
import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.xfr

from enforcer.dns.transfers.zone_copy import (
    Changes,
    CopyError,
    Line,
    Soa,
    read_lines,
    read_soa,
    write_zone,
)
from enforcer.metrics import Metrics
from enforcer.settings.transfer import TransferSettings, TsigSettings

log = logging.getLogger(__name__)

# One message, and all of them.
MESSAGE_TIMEOUT_S = 20.0
TRANSFER_TIMEOUT_S = 900.0
# Whatever the SOA says, at most this often and at least this often.
LEAST_WAIT_S = 30.0
MOST_WAIT_S = 86_400.0
# More changes than that come cheaper as the whole zone.
MAX_CHANGES = 500_000
_HALF = 1 << 31  # RFC 1982 3.2


class TransferError(Exception):
    """A zone could not be fetched; says why."""


class _NoReplyError(Exception):
    """The primary says something that is no use."""


class Fetched(NamedTuple):
    """What one look at the primary came to; ``records`` is None when nothing was new."""

    soa: Soa
    records: int | None


_FAILURES = (dns.exception.DNSException, _NoReplyError, CopyError, OSError, EOFError, ValueError)


def load_key(tsig: TsigSettings) -> dns.tsig.Key:
    """The key with its secret. Raises TransferError, which never shows the secret."""
    try:
        text = tsig.secret_file.read_bytes()
        secret = base64.b64decode(b"".join(text.split()), validate=True)
    except OSError as error:
        raise TransferError(f"{tsig.secret_file} cannot be read: {error.strerror}") from None
    except binascii.Error:
        secret = b""
    if not secret:
        raise TransferError(f"{tsig.secret_file} holds no secret in base64")
    return dns.tsig.Key(tsig.name, secret, tsig.algorithm)


def fetch(transfer: TransferSettings, stopped: Callable[[], bool] = lambda: False) -> Fetched:
    """Bring the copy of a zone up to date. Blocks. Raises TransferError."""
    try:
        return _Primary(transfer, stopped).fetch()
    except _FAILURES as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise TransferError(
            f"zone {transfer.zone} was not fetched from {transfer.primary}: {said}"
        ) from None


def fetch_missing(transfers: tuple[TransferSettings, ...]) -> None:
    """Fetch what was never fetched, for the policy to find. Blocks. Raises TransferError."""
    for transfer in transfers:
        if not transfer.file.exists():
            fetch(transfer)


def is_newer(serial: int, than: int) -> bool:
    """RFC 1982 3.2."""
    return 0 < (serial - than) % (2 * _HALF) < _HALF


class _Primary:
    """One look at the primary of a zone."""

    def __init__(self, transfer: TransferSettings, stopped: Callable[[], bool]) -> None:
        self._transfer = transfer
        self._stopped = stopped
        self._path: Path = transfer.file
        self._zone = dns.name.from_text(transfer.zone)
        self._key = load_key(transfer.tsig) if transfer.tsig else None

    def fetch(self) -> Fetched:
        have = read_soa(self._path)
        if have is None:
            return self._whole()
        if not is_newer(self._serial(), have.serial):
            return Fetched(have, None)
        try:
            return self._changes(have)
        except (dns.xfr.TransferError, dns.exception.FormError, CopyError) as error:
            log.info("zone %s: no incremental transfer: %s", self._transfer.zone, error)
            return self._whole()

    def _serial(self) -> int:
        query = dns.message.make_query(self._zone, "SOA")
        query.flags = dns.flags.Flag(0)
        if self._key:
            query.use_tsig(self._key)
        host, port = self._transfer.primary
        # Over TCP, where a primary that is not there says so at once.
        reply = dns.query.tcp(query, host, MESSAGE_TIMEOUT_S, port)
        if self._key and not reply.had_tsig:
            raise _NoReplyError("the reply is not signed")
        if reply.rcode() != dns.rcode.NOERROR:
            raise _NoReplyError(f"it answers {dns.rcode.to_text(reply.rcode())}")
        found = reply.get_rrset(reply.answer, self._zone, dns.rdataclass.IN, dns.rdatatype.SOA)
        if found is None:
            raise _NoReplyError("it has no SOA of the zone")
        return int(found[0].serial)

    def _whole(self) -> Fetched:
        records = self._records("AXFR")
        soa = next(records)
        return self._write(soa, records)

    def _changes(self, have: Soa) -> Fetched:
        records = self._records("IXFR", have.serial)
        soa = next(records)
        second = next(records, None)
        if second is None:
            return Fetched(have, None)
        if second[2].rdtype != dns.rdatatype.SOA or second[2].serial != have.serial:
            # The whole zone, which a primary may always send instead (RFC 1995 4).
            return self._write(soa, chain([second], records))
        changes, adding = Changes(), False
        for record in records:
            if record[2].rdtype == dns.rdatatype.SOA:
                adding = not adding
            elif adding:
                changes.add(self._line(record))
            else:
                changes.remove(self._line(record))
            if len(changes) > MAX_CHANGES:
                raise CopyError(f"there are more than {MAX_CHANGES} changes")
        lines = chain([self._line(soa)], changes.apply(read_lines(self._path)))
        return Fetched(_timers(soa[2]), write_zone(self._path, self._transfer.zone, lines))

    def _write(self, soa: Any, records: Iterator[Any]) -> Fetched:
        if soa[2].rdtype != dns.rdatatype.SOA:
            raise CopyError("what the primary sends does not begin with a SOA")
        others = (record for record in records if record[2].rdtype != dns.rdatatype.SOA)
        lines = map(self._line, chain([soa], others))
        return Fetched(_timers(soa[2]), write_zone(self._path, self._transfer.zone, lines))

    def _records(self, kind: str, serial: int = 0) -> Iterator[Any]:
        """Name, TTL and data of each record, in the order in which they come."""
        host, port = self._transfer.primary
        signed: dict[str, Any] = {}
        if self._key:
            signed = {
                "keyring": {self._key.name: self._key},
                "keyname": self._key.name,
                "keyalgorithm": self._key.algorithm,
            }
        for message in dns.query.xfr(
            host,
            self._zone,
            kind,
            timeout=MESSAGE_TIMEOUT_S,
            port=port,
            lifetime=TRANSFER_TIMEOUT_S,
            relativize=False,
            serial=serial,
            **signed,
        ):
            if self._stopped():
                raise CopyError("the gateway is stopping")
            for rrset in message.answer:
                if rrset.name.is_subdomain(self._zone):
                    for rdata in rrset:
                        yield rrset.name, rrset.ttl, rdata

    def _line(self, record: Any) -> Line:
        name, ttl_s, rdata = record
        owner = name.relativize(self._zone).to_text().lower()
        kind = dns.rdatatype.to_text(rdata.rdtype)
        return Line(owner, ttl_s, f"{kind} {rdata.to_text()}")


def _timers(soa: Any) -> Soa:
    return Soa(soa.serial, soa.refresh, soa.retry, soa.expire)


class ZoneTransfers:
    """Keeps the copies of all zones up to date. ``start``, then ``stop``."""

    def __init__(
        self,
        transfers: tuple[TransferSettings, ...],
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        least_wait_s: float = LEAST_WAIT_S,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._least_wait_s = least_wait_s
        self._stop = threading.Event()
        self._threads = [
            # Daemons: a primary that is silent must not hold up the end.
            threading.Thread(target=self._keep, args=(transfer,), daemon=True)
            for transfer in transfers
        ]
        for transfer in transfers:
            metrics.zone_transfers.extend("zone", transfer.zone)
            metrics.zone_last_success.extend("zone", transfer.zone)
            metrics.zone_expired.extend("zone", transfer.zone)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _keep(self, transfer: TransferSettings) -> None:
        soa = read_soa(transfer.file)
        good_s = time.monotonic()
        while not self._stop.is_set():
            try:
                fetched = fetch(transfer, self._stop.is_set)
            except TransferError as error:
                log.error("%s", error)
                self._metrics.zone_transfers.add(transfer.zone, "failed")
                wait_s = soa.retry_s if soa else 0
                if soa and time.monotonic() - good_s > soa.expire_s:
                    log.error("zone %s has expired; the old copy stays in force", transfer.zone)
                    self._metrics.zone_expired.set(1, transfer.zone)
            except Exception:
                # A fault of ours must not end the updates.
                log.exception("zone %s was not fetched", transfer.zone)
                self._metrics.zone_transfers.add(transfer.zone, "failed")
                wait_s = 0
            else:
                soa, good_s, wait_s = fetched.soa, time.monotonic(), fetched.soa.refresh_s
                self._succeeded(transfer, fetched)
            self._stop.wait(min(max(wait_s, self._least_wait_s), MOST_WAIT_S))

    def _succeeded(self, transfer: TransferSettings, fetched: Fetched) -> None:
        result = "unchanged" if fetched.records is None else "updated"
        if fetched.records is not None:
            log.info(
                "zone %s: %d records, serial %d",
                *(transfer.zone, fetched.records, fetched.soa.serial),
            )
        self._metrics.zone_transfers.add(transfer.zone, result)
        self._metrics.zone_last_success.set(self._clock(), transfer.zone)
        self._metrics.zone_expired.set(0, transfer.zone)
