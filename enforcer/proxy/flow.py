"""One connection through the gate, from its first byte to splice, refusal or hand-over.

The steps in order: entrance, decide on the destination, resolve, verify, connect,
say yes, peek at what is spoken, decide again with all that is known, splice. On the
transparent entrance the peek comes first, since there is nobody to say yes to.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Protocol, TypeVar

from enforcer.audit.event import Record, audit_event
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Action, Address, Plane, Request, Verdict
from enforcer.policy.model import Protocol as Spoken
from enforcer.proxy import entrances
from enforcer.proxy.client import ClientProtocol
from enforcer.proxy.entrances import Destination, PlainHttp, ProxyError
from enforcer.proxy.verifier import Verifier
from enforcer.settings import TlsSettings
from enforcer.tls.clienthello import ClientHello, Malformed, parse_client_hello
from enforcer.tls.first_bytes import NEED_MORE, AlertDescription, NeedMore, build_alert, sniff

# What a client that dialled the transparent door itself is taken to want.
TLS_PORT = 443

Parsed = TypeVar("Parsed")


class Resolved(Protocol):
    """What a lookup gave: addresses, or the verdict that blocked it."""

    @property
    def addresses(self) -> tuple[Address, ...]: ...
    @property
    def verdict(self) -> Verdict | None: ...


Resolve = Callable[[str, Address], Awaitable[Resolved]]
HandOver = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
JoinTransports = Callable[[asyncio.Transport, asyncio.Transport, bytes], None]


@dataclass(frozen=True, slots=True)
class FlowServices:
    """What every flow of a gate asks."""

    policy: PolicyHolder
    record: Record
    metrics: Metrics
    verifier: Verifier
    resolve: Resolve
    hand_over: HandOver
    settings: TlsSettings
    clock: Callable[[], float]


class FirstWords(NamedTuple):
    """What a client speaks, and the hello if it is TLS."""

    protocol: Spoken
    hello: ClientHello | None


class Refusal(Exception):  # noqa: N818 not an error: the flow's answer is no
    """The flow ends with an answer that says why."""

    def __init__(self, error: ProxyError, details: str, alert: AlertDescription) -> None:
        self.error = error
        self.details = details
        self.alert = alert
        super().__init__(details)


class Discard(Exception):  # noqa: N818 the same
    """The flow ends without an answer; the reason is a metric label."""


class UpstreamProtocol(asyncio.Protocol):
    """The destination's side before the splice: nothing is read, only its end is noticed."""

    def __init__(self) -> None:
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 a TCP client has no other
        transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost
        self.gone = True


class Flow:
    """One connection. ``run`` never raises for anything that a peer does."""

    def __init__(
        self,
        services: FlowServices,
        client: ClientProtocol,
        plane: Plane,
        join: JoinTransports,
    ) -> None:
        self._join = join
        self._services = services
        self._client = client
        self._plane = plane
        self._policy = services.policy.current
        self._client_address = parse_address(client.transport.get_extra_info("peername")[0])
        self._outcomes: dict[str, tuple[Request, Verdict]] = {}
        self._upstream: asyncio.Transport | None = None
        self._said_yes = plane is Plane.TLS
        self._let_go = False

    async def run(self) -> None:
        try:
            if self._plane is Plane.TLS:
                await self._transparent()
            else:
                await self._explicit()
        except Refusal as refusal:
            self._refuse(refusal)
        except Discard as discard:
            self._services.metrics.tls_discarded.add(str(discard))
            self._client.transport.close()
        finally:
            self._conclude()
            if not self._let_go:
                self._client.transport.close()
                if self._upstream:
                    self._upstream.abort()

    async def _transparent(self) -> None:
        connection = self._client.transport.get_extra_info("socket")
        destination = entrances.original_destination(connection)
        words = await self._read(parse_first_words)
        if destination is None:
            name = (words.hello.sni if words.hello else None) or ""
            await self._pass(self._request(name, None, TLS_PORT, words.protocol))
            self._client.transport.write(build_alert(AlertDescription.ACCESS_DENIED))
            raise Discard("not_redirected")
        assert destination.address is not None  # noqa: S101 the kernel gives addresses
        await self._pass_words(destination, destination.address, words)
        await self._connect(destination.address, destination.port)
        self._splice()

    async def _explicit(self) -> None:
        while not self._client.buffer:
            await self._read(_anything)
        if self._client.buffer[0] == entrances.SOCKS_VERSION:
            self._plane = Plane.SOCKS5
            destination = await self._socks_destination()
            yes = entrances.build_socks_reply(entrances.SocksReply.SUCCEEDED)
        else:
            head = await self._read(entrances.parse_http_head)
            if isinstance(head, PlainHttp):
                await self._hand_over()
                return
            self._client.take(head.length)
            destination = head.destination
            yes = entrances.CONNECT_ESTABLISHED
        address = await self._reach(destination)
        self._client.transport.write(yes)
        self._said_yes = True
        words = await self._read(parse_first_words)
        await self._pass_words(destination, address, words)
        self._splice()

    async def _socks_destination(self) -> Destination:
        greeting = await self._read(entrances.parse_socks_greeting)
        self._client.take(greeting.length)
        self._client.transport.write(greeting.reply)
        if not greeting.accepted:
            raise Discard("socks_authentication")
        request = await self._read(entrances.parse_socks_request)
        if isinstance(request, entrances.SocksRefused):
            self._client.transport.write(entrances.build_socks_reply(request.reply))
            raise Discard("malformed_request")
        self._client.take(request.length)
        return request.destination

    async def _reach(self, destination: Destination) -> Address:
        """Connect to a destination that may be a name; each address is asked about."""
        request = self._request(destination.name, destination.address, destination.port, None)
        if destination.address is not None:
            await self._pass(request)
            await self._connect(destination.address, destination.port)
            return destination.address
        self._judge(request)
        resolved = await self._services.resolve(destination.name, self._client_address)
        if resolved.verdict is not None:
            self._outcomes[request.name] = (request, resolved.verdict)
            self._deny(resolved.verdict)
        failure = Refusal(
            entrances.NAME_NOT_FOUND,
            f"{destination.name} has no address",
            AlertDescription.INTERNAL_ERROR,
        )
        for address in resolved.addresses:
            await self._pass(request._replace(address=address))
            try:
                await self._connect(address, destination.port)
            except Refusal as refusal:
                failure = refusal
            else:
                return address
        raise failure

    async def _pass_words(
        self, destination: Destination, address: Address, words: FirstWords
    ) -> None:
        """Ask with everything that is known: what is spoken, and every name in it."""
        sni = words.hello.sni if words.hello else None
        names = [name for name in (destination.name, sni) if name] or [""]
        for name in dict.fromkeys(names):
            await self._pass(self._request(name, address, destination.port, words.protocol))

    def _request(
        self, name: str, address: Address | None, port: int, protocol: Spoken | None
    ) -> Request:
        return Request(
            plane=self._plane,
            name=name,
            address=address,
            port=port,
            client=self._client_address,
            protocol=protocol,
            time_s=self._services.clock(),
        )

    def _judge(self, request: Request) -> Verdict:
        verdict = decide(self._policy, request)
        self._outcomes[request.name] = (request, verdict)
        if verdict.blocks:
            self._deny(verdict)
        return verdict

    async def _pass(self, request: Request) -> None:
        """Ask, check the certificate if the verdict wants it, and ask again."""
        verdict = self._judge(request)
        if verdict.verify is None or request.address is None or request.port is None:
            return
        fact = await self._services.verifier.verify(
            verdict.verify, request.address, request.port, request.name
        )
        self._judge(request._replace(certificate=fact))

    def _deny(self, verdict: Verdict) -> NoReturn:
        if verdict.connect_url is not None:
            error, alert = entrances.CERTIFICATE_REFUSED, AlertDescription.ACCESS_DENIED
        else:
            error, alert = entrances.DENIED, AlertDescription.UNRECOGNIZED_NAME
        raise Refusal(error, verdict.explain(self._policy.hint), alert)

    async def _read(self, parse: Callable[[bytearray], Parsed | NeedMore | Malformed]) -> Parsed:
        """What the client's bytes say, as soon as there are enough of them."""
        try:
            async with asyncio.timeout(self._services.settings.peek_timeout_ms / 1000):
                while True:
                    parsed = parse(self._client.buffer)
                    if isinstance(parsed, Malformed):
                        self._services.metrics.tls_discarded.add("malformed_request")
                        raise Refusal(
                            entrances.BAD_REQUEST, parsed.reason, AlertDescription.DECODE_ERROR
                        )
                    if parsed is not NEED_MORE:
                        return parsed  # type: ignore[return-value]  # what is left of the union
                    if not await self._client.more():
                        raise Discard("client_gone")
        except TimeoutError:
            raise Discard("client_silent") from None

    async def _connect(self, address: Address, port: int) -> None:
        loop = asyncio.get_running_loop()
        target = f"{address} port {port}"
        try:
            async with asyncio.timeout(self._services.settings.connect_timeout_ms / 1000):
                self._upstream, _ = await loop.create_connection(
                    UpstreamProtocol, str(address), port
                )
        except TimeoutError:
            self._services.metrics.tls_discarded.add("upstream_timeout")
            raise Refusal(
                entrances.CONNECTION_TIMEOUT,
                f"{target} does not answer",
                AlertDescription.INTERNAL_ERROR,
            ) from None
        except OSError as error:
            self._services.metrics.tls_discarded.add("upstream_unreachable")
            raise Refusal(
                entrances.CONNECTION_REFUSED,
                f"{target} cannot be reached: {error.strerror or error}",
                AlertDescription.INTERNAL_ERROR,
            ) from None

    def _splice(self) -> None:
        assert self._upstream is not None  # noqa: S101 connected by now
        upstream = self._upstream.get_protocol()
        if self._client.gone or (isinstance(upstream, UpstreamProtocol) and upstream.gone):
            raise Discard("client_gone")
        self._let_go = True
        self._join(self._client.transport, self._upstream, bytes(self._client.buffer))

    async def _hand_over(self) -> None:
        """Give the stream, with what was read of it, to mitmproxy."""
        loop = asyncio.get_running_loop()
        transport = self._client.transport
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        reader.feed_data(bytes(self._client.buffer))
        if self._client.gone:
            reader.feed_eof()
        self._let_go = True
        await self._services.hand_over(
            reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        )

    def _refuse(self, refusal: Refusal) -> None:
        transport = self._client.transport
        if self._said_yes:
            # To anything but TLS an alert would be noise; the close has to do.
            if sniff(self._client.buffer) is Spoken.TLS:
                transport.write(build_alert(refusal.alert))
        elif self._plane is Plane.SOCKS5:
            transport.write(entrances.build_socks_reply(refusal.error.socks))
        else:
            transport.write(entrances.build_http_refusal(refusal.error, refusal.details))
        transport.close()

    def _conclude(self) -> None:
        """Put on record what was decided, once per name."""
        if not self._outcomes:
            return
        digest = self._policy.policy.digest
        actions = set()
        for request, verdict in self._outcomes.values():
            actions.add(verdict.action)
            if verdict.recorded:
                self._services.record(audit_event(request, verdict, digest))
        worst = max(actions, key=_SEVERITY.__getitem__)
        self._services.metrics.tls_connections.add(worst.value, self._plane.value)


_SEVERITY = {Action.ALLOW: 0, Action.MONITOR: 1, Action.BLOCK: 2}


def parse_first_words(data: bytearray) -> FirstWords | NeedMore | Malformed:
    """The protocol, and the whole hello when it is TLS."""
    protocol = sniff(data)
    if isinstance(protocol, NeedMore):
        return protocol
    if protocol is not Spoken.TLS:
        return FirstWords(protocol, None)
    hello = parse_client_hello(data)
    return FirstWords(protocol, hello) if isinstance(hello, ClientHello) else hello


def _anything(data: bytearray) -> int | NeedMore:
    return len(data) or NEED_MORE
