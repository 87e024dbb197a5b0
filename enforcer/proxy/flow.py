"""One connection through the gate, from its first byte to splice, refusal or hand-over.

The steps in order: entrance, decide on the destination, resolve, verify, connect,
say yes, peek at what is spoken, decide again with all that is known, splice. On the
transparent entrance the peek comes first, since there is nobody to say yes to. No byte
of the client's goes anywhere before the last decision.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar

from enforcer.audit.event import Record
from enforcer.metrics import Metrics
from enforcer.policy.gateway_address import exposes_gateway
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address, Plane, Request
from enforcer.policy.model import Protocol as Spoken
from enforcer.proxy import entrances, refuse
from enforcer.proxy.collector import Collector
from enforcer.proxy.dial import NoAnswer, dial
from enforcer.proxy.entrances import ConnectHead, Destination, PlainHttp, ProxyError
from enforcer.proxy.first_words import FirstWords, parse_first_words
from enforcer.proxy.inquiry import Denied, Inquiry, Resolve, Verify
from enforcer.proxy.late_ssh import LateSsh
from enforcer.proxy.own_doors import Listening, is_own_door
from enforcer.proxy.splice import Passed, Splice
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import TlsSettings
from enforcer.tls.clienthello import Malformed
from enforcer.tls.first_bytes import NEED_MORE, AlertDescription, NeedMore

# What a client that dialled the transparent door itself is taken to want.
TLS_PORT = 443
# A name may have any number of addresses; the client waits while each is dialled.
MAX_DIALLED = 8

Parsed = TypeVar("Parsed")


HandOver = Callable[[Collector], Awaitable[None]]
Adopt = Callable[[Splice], None]


@dataclass(frozen=True, slots=True)
class FlowServices:
    """What every flow of a gate asks."""

    policy: PolicyHolder
    record: Record
    metrics: Metrics
    verifier: Verify
    resolve: Resolve
    hand_over: HandOver
    listening: Listening
    settings: TlsSettings
    clock: Callable[[], float]


class Refusal(Exception):  # noqa: N818 not an error: the flow's answer is no
    """The flow ends with an answer that says why."""

    def __init__(self, error: ProxyError, details: str, alert: AlertDescription) -> None:
        self.error = error
        self.details = details
        self.alert = alert
        super().__init__(details)


class Discard(Exception):  # noqa: N818 the same
    """The flow ends without an answer of ours; the reason is a metric label."""


class Flow:
    """One connection. ``run`` never raises for anything that a peer does."""

    def __init__(
        self,
        services: FlowServices,
        client: Collector,
        client_address: Address,
        door: Endpoint,
        plane: Plane,
        adopt: Adopt,
        passed: Passed,
    ) -> None:
        self._services = services
        self._client = client
        self._client_address = client_address
        self._door = door
        self._plane = plane
        self._adopt = adopt
        self._passed = passed
        self._inquiry = Inquiry(
            services.policy.current, services.record, services.metrics, services.verifier
        )
        self._upstream: Collector | None = None
        self._said_yes = plane is Plane.TLS
        self._let_go = False
        self._joined: Splice | None = None

    async def run(self) -> None:
        try:
            if self._plane is Plane.TLS:
                await self._transparent()
            else:
                await self._explicit()
        except Denied as denied:
            await self._refuse(Refusal(denied.error, str(denied), denied.alert))
        except Refusal as refusal:
            await self._refuse(refusal)
        except Discard as discard:
            self._services.metrics.tls_discarded.add(str(discard))
        except asyncio.CancelledError:
            self._client.transport.abort()
            raise
        finally:
            self._inquiry.conclude()
            if not self._let_go:
                if self._upstream:
                    self._upstream.transport.abort()
                stalled_after_s = self._services.settings.peek_timeout_ms / 1000
                await refuse.close(self._client.transport, self._client.gone, stalled_after_s)

    async def _transparent(self) -> None:
        connection = self._client.transport.get_extra_info("socket")
        destination = entrances.original_destination(connection, self._door)
        words = await self._read(parse_first_words)
        if destination is None or destination.address is None:
            name = (words.hello.sni if words.hello else None) or ""
            await self._inquiry.admit(self._request(name, None, TLS_PORT, words.protocol))
            self._services.metrics.tls_discarded.add("not_redirected")
            raise Refusal(
                entrances.BAD_REQUEST,
                "this is the door for redirected connections",
                AlertDescription.ACCESS_DENIED,
            )
        address, port = destination.address, destination.port
        self._keep_off_gateway(self._request("", address, port, words.protocol), address)
        await self._pass_words(destination, address, words)
        await self._connect(address, port)
        self._let_pass(self._splice(), destination, address, words.protocol)

    async def _explicit(self) -> None:
        await self._read(_anything)
        version = self._client.buffer[0]
        if version == entrances.SOCKS4_VERSION:
            self._end(entrances.SOCKS4_REJECTED, "malformed_request")
        if version == entrances.SOCKS_VERSION:
            self._plane = Plane.SOCKS5
            destination = await self._socks_destination()
            yes = entrances.build_socks_reply(entrances.SocksReply.SUCCEEDED)
        else:
            head: ConnectHead | PlainHttp = await self._read(entrances.parse_http_head)
            if isinstance(head, PlainHttp):
                self._let_go = True
                await self._services.hand_over(self._client)
                return
            self._client.take(head.length)
            destination = head.destination
            yes = entrances.CONNECT_ESTABLISHED
        address = await self._reach(destination)
        self._say(yes)
        self._said_yes = True
        splice = self._splice()
        if not self._client.buffer:
            await self._await_first_word(splice)
            # The policy may have changed meanwhile, more than once.
            self._inquiry.renew(self._services.policy.current)
        words = await self._read(parse_first_words)
        await self._pass_words(destination, address, words)
        self._let_pass(splice, destination, address, words.protocol)

    async def _socks_destination(self) -> Destination:
        greeting = await self._read(entrances.parse_socks_greeting)
        self._client.take(greeting.length)
        if not greeting.accepted:
            self._end(greeting.reply, "socks_authentication")
        self._say(greeting.reply)
        request: entrances.SocksRequest | entrances.SocksRefused
        request = await self._read(entrances.parse_socks_request)
        if isinstance(request, entrances.SocksRefused):
            self._end(entrances.build_socks_reply(request.reply), "malformed_request")
        self._client.take(request.length)
        return request.destination

    async def _await_first_word(self, splice: Splice) -> None:
        """Let the server speak first for as long as the client is silent.

        What an idle connection may last is the limit, as after the splice.
        """
        while not self._client.buffer:
            passed_bytes = splice.upstream.received
            try:
                async with asyncio.timeout(self._services.settings.idle_timeout_seconds):
                    if not await self._client.more():
                        raise Discard("client_gone")
            except TimeoutError:
                if splice.upstream.received == passed_bytes:
                    raise Discard("client_silent") from None

    async def _reach(self, destination: Destination) -> Address:
        """Connect to a destination that may be a name; each address is asked about."""
        request = self._request(destination.name, destination.address, destination.port, None)
        addresses: tuple[Address, ...]
        if destination.address is not None:
            addresses = (destination.address,)
        else:
            self._inquiry.judge(request)
            addresses = await self._inquiry.look_up(self._services.resolve, request)
        failure: Refusal | Denied = Refusal(
            entrances.NAME_NOT_FOUND,
            f"{destination.name} has no address",
            AlertDescription.INTERNAL_ERROR,
        )
        for address in addresses[:MAX_DIALLED]:
            try:
                addressed = request._replace(address=address)
                self._keep_off_gateway(addressed, address)
                await self._inquiry.admit(addressed)
                await self._connect(address, destination.port)
            except (Refusal, Denied) as refusal:
                failure = refusal
                if self._client.eof:
                    raise Discard("client_gone") from None
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
            await self._inquiry.admit(
                self._request(name, address, destination.port, words.protocol)
            )

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

    def _keep_off_gateway(self, request: Request, address: Address) -> None:
        if exposes_gateway(address, self._client_address) or is_own_door(
            self._services.listening, address, request.port
        ):
            self._inquiry.protect_gateway(request)

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
                    if not isinstance(parsed, NeedMore):
                        return parsed
                    if not await self._client.more():
                        raise Discard("client_gone")
        except TimeoutError:
            raise Discard("client_silent") from None

    async def _connect(self, address: Address, port: int) -> None:
        timeout_s = self._services.settings.connect_timeout_ms / 1000
        outcome = await dial(address, port, timeout_s)
        if isinstance(outcome, NoAnswer):
            self._services.metrics.tls_discarded.add(outcome.metric)
            raise Refusal(outcome.error, outcome.details, AlertDescription.INTERNAL_ERROR)
        self._upstream = outcome

    def _splice(self) -> Splice:
        """Both ends joined, the client's bytes still held back."""
        assert self._upstream is not None  # noqa: S101 connected by now
        if self._client.lost:
            raise Discard("client_gone")
        if self._upstream.lost:
            raise Discard("upstream_gone")
        self._joined = Splice(self._client, self._upstream, self._passed)
        return self._joined

    def _let_pass(
        self, splice: Splice, destination: Destination, address: Address, spoken: Spoken
    ) -> None:
        if not splice.open:
            raise Discard("client_gone" if self._client.lost else "upstream_gone")
        self._let_go = True
        self._adopt(splice)
        if spoken in {Spoken.TLS, Spoken.SSH}:
            splice.release()
        else:
            splice.release(LateSsh(splice, partial(self._admits_ssh, destination, address)))

    def _admits_ssh(self, destination: Destination, address: Address) -> bool:
        request = self._request(destination.name, address, destination.port, Spoken.SSH)
        try:
            self._inquiry.judge(request)
        except Denied:
            return False
        finally:
            self._inquiry.conclude()
        return True

    def _say(self, answer: bytes) -> None:
        if self._client.lost:
            raise Discard("client_gone")
        self._client.transport.write(answer)

    def _end(self, answer: bytes, reason: str) -> NoReturn:
        """A last word for a client whose request makes no sense here."""
        self._say(answer)
        raise Discard(reason)

    async def _refuse(self, refusal: Refusal) -> None:
        # On record at once: the client may take its time to listen.
        self._inquiry.conclude()
        if self._joined:
            # A server that spoke first has nothing more to say behind the last words.
            self._joined.upstream.watch = _pass_nothing
        answer = refuse.build_answer(
            refusal, self._plane, said_yes=self._said_yes, words=self._client.buffer
        )
        await refuse.answer_and_wait(self._client, answer)


def _pass_nothing(_: bytes) -> bool:
    return False


def _anything(data: bytearray) -> int | NeedMore:
    return len(data) or NEED_MORE
