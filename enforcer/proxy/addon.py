"""mitmproxy's hooks to Request, Verdict to action.

Inside the gateway it decides on the plain HTTP that the gate hands over. Alone in stock
mitmproxy (``mitmdump -s``, see standalone.py) it does so for every connection: refuse,
pass a Connect URL on untouched once its issuer is verified, leave the rest to mitmproxy.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import connection, ctx, http, tcp, tls
from mitmproxy.addons.proxyserver import Proxyserver

from enforcer.audit.event import Record
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.gateway_address import exposes_gateway
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address, Plane, Request
from enforcer.policy.model import Protocol as Spoken
from enforcer.policy.names import fold
from enforcer.proxy import entrances
from enforcer.proxy.entrances import Destination, ProxyError
from enforcer.proxy.inquiry import Denied, Inquiry, Resolve, Verify
from enforcer.proxy.own_doors import Listening, is_own_door
from enforcer.tls.first_bytes import (
    MAX_SSH_BYTES,
    AlertDescription,
    NeedMore,
    begins_ssh,
    build_alert,
    sniff,
)


@dataclass(frozen=True, slots=True)
class AddonServices:
    """What the add-on asks.

    ``intercept`` is stock mitmproxy's trade: tunnels come here, and what the policy
    allows is left to mitmproxy. In the gateway they go through the gate.
    """

    policy: PolicyHolder
    record: Record
    metrics: Metrics
    verifier: Verify
    resolve: Resolve
    listening: Listening
    intercept: bool
    clock: Callable[[], float]


class Unreachable(Exception):  # noqa: N818 the answer to one request
    """There is nowhere to send a request to; what to answer instead."""

    def __init__(self, error: ProxyError, details: str) -> None:
        self.error = error
        super().__init__(details)


class PolicyAddon:
    """One per mitmproxy master."""

    def __init__(self, services: AddonServices) -> None:
        self._services = services
        # By mitmproxy's id: clients in a CONNECT tunnel, those whose first words in it
        # were judged, and those that were refused.
        self._tunnels: set[str] = set()
        self._heard: set[str] = set()
        self._refused: set[str] = set()
        # First words that do not tell yet, and those that were passed on.
        self._held: dict[str, bytes] = {}
        self._judged: dict[str, bytes] = {}

    def client_disconnected(self, client: connection.Client) -> None:
        for clients in (self._tunnels, self._heard, self._refused):
            clients.discard(client.id)
        for words in (self._held, self._judged):
            words.pop(client.id, None)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        if not self._services.intercept:
            # The gate has seen only this connection's first request.
            details = "send CONNECT on a connection of its own"
            flow.response = _response(entrances.BAD_REQUEST, details)
            return
        self._tunnels.add(flow.client_conn.id)
        destination = entrances.destination(flow.request.host, flow.request.port)
        if destination is None:
            details = "CONNECT wants host:port"
            flow.response = _response(entrances.BAD_REQUEST, details)
            return
        inquiry = self._inquiry()
        try:
            inquiry.judge(self._request(flow.client_conn, destination, None))
        except Denied as denied:
            inquiry.conclude()
            flow.response = _response(entrances.DENIED, str(denied))

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.client_conn.tls_established or flow.error:
            return  # decided when its ClientHello came, or refused by mitmproxy
        inquiry = self._inquiry()
        try:
            address = await self._admit_request(inquiry, flow)
        except Denied as denied:
            self._refuse(flow, denied.error, str(denied))
        except Unreachable as unreachable:
            self._refuse(flow, unreachable.error, str(unreachable))
        else:
            # This very address is dialled. The Host field stays what it is.
            flow.request.data.host = str(address)
        finally:
            inquiry.conclude()

    async def _admit_request(self, inquiry: Inquiry, flow: http.HTTPFlow) -> Address:
        """Where to send a request. Raises Denied and Unreachable."""
        if flow.request.scheme != "http":
            raise Unreachable(entrances.BAD_REQUEST, "ask for https by CONNECT")
        dialled = entrances.destination(flow.request.host, flow.request.port)
        # The Host field names the site that the destination will serve (RFC 9110 7.2).
        meant = entrances.destination(fold(flow.request.pretty_host), flow.request.port)
        if dialled is None or meant is None:
            raise Unreachable(entrances.BAD_REQUEST, "the request has no valid host name")
        request = self._request(flow.client_conn, dialled, Spoken.HTTP)
        inquiry.judge(request)
        for address in await self._addresses(inquiry, request):
            addressed = request._replace(address=address)
            if exposes_gateway(address, _client_address(flow.client_conn)) or is_own_door(
                self._services.listening, address, dialled.port
            ):
                inquiry.protect_gateway(addressed)
            inquiry.judge(addressed)
            # An address in the Host field says no more than the one dialled.
            if meant.name:
                inquiry.judge(addressed._replace(name=meant.name))
            return address
        raise Unreachable(entrances.NAME_NOT_FOUND, f"{dialled.name} has no address")

    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        client, server = data.context.client, data.context.server
        destination = entrances.destination(*server.address[:2]) if server.address else None
        if destination is None:
            self._end_hello(data, AlertDescription.INTERNAL_ERROR)
            return
        inquiry = self._inquiry()
        try:
            dialled = self._request(client, destination, Spoken.TLS)
            address = await self._server_address(inquiry, server, dialled)
            sni = fold(data.client_hello.sni or "")
            names = [name for name in (dialled.name, sni) if name] or [""]
            for name in dict.fromkeys(names):
                verdict = await inquiry.admit(dialled._replace(name=name, address=address))
                data.ignore_connection |= verdict.connect_url is not None
        except Denied as denied:
            self._end_hello(data, denied.alert)
        except Unreachable:
            self._end_hello(data, AlertDescription.INTERNAL_ERROR)
        finally:
            inquiry.conclude()

    def tls_start_client(self, data: tls.TlsData) -> None:
        if data.context.client.id in self._refused:
            data.ssl_conn = None  # no handshake: mitmproxy closes

    async def tcp_message(self, flow: tcp.TCPFlow) -> None:
        """What speaks in a tunnel that is neither TLS nor HTTP, by its first words."""
        client, message = flow.client_conn, flow.messages[-1]
        if not message.from_client or client.id in self._heard:
            return
        if client.id in self._refused:
            message.content = b""  # it was read before the close
            return
        judged = self._judged.get(client.id, b"")
        # Held back for as long as it can become anything: no more than sniff looks at.
        words = self._held.pop(client.id, b"") + message.content
        protocol = Spoken.SSH if begins_ssh(judged + words) else sniff(judged + words)
        if isinstance(protocol, NeedMore):
            self._held[client.id] = words
            message.content = b""
            return
        message.content = words
        if (protocol is Spoken.SSH or not judged) and not await self._admit_words(flow, protocol):
            self._refused.add(client.id)
            message.content = b""
        elif protocol is Spoken.SSH or len(judged + words) >= MAX_SSH_BYTES:
            self._heard.add(client.id)
        else:
            self._judged[client.id] = judged + words  # SSH may still come (see late_ssh.py)

    async def _admit_words(self, flow: tcp.TCPFlow, protocol: Spoken) -> bool:
        client, server = flow.client_conn, flow.server_conn
        if protocol is Spoken.TLS:
            # mitmproxy did not take it for a hello, so nobody has read one.
            self._last_words(client, build_alert(AlertDescription.DECODE_ERROR))
            return False
        destination = entrances.destination(*server.address[:2]) if server.address else None
        if destination is None:
            return True
        inquiry = self._inquiry()
        try:
            request = self._request(client, destination, protocol)
            if server.peername:
                request = request._replace(address=parse_address(server.peername[0]))
            await inquiry.admit(request)
        except Denied:
            self._last_words(client, b"")
            return False
        finally:
            inquiry.conclude()
        return True

    async def _addresses(self, inquiry: Inquiry, request: Request) -> tuple[Address, ...]:
        if request.address is not None:
            return (request.address,)
        return await inquiry.look_up(self._services.resolve, request)

    async def _server_address(
        self, inquiry: Inquiry, server: connection.Server, request: Request
    ) -> Address:
        """Where the server is or will be dialled. Raises Denied and Unreachable."""
        if server.peername:
            return parse_address(server.peername[0])
        addresses = await self._addresses(inquiry, request)
        if not addresses:
            raise Unreachable(entrances.NAME_NOT_FOUND, f"{request.name} has no address")
        # From here on this very address, so that what was verified is what is used.
        server.address = (str(addresses[0]), request.port or 0)
        return addresses[0]

    def _inquiry(self) -> Inquiry:
        services = self._services
        return Inquiry(
            services.policy.current, services.record, services.metrics, services.verifier
        )

    def _request(
        self, client: connection.Client, destination: Destination, protocol: Spoken | None
    ) -> Request:
        if client.id in self._tunnels:
            plane = Plane.CONNECT
        elif client.proxy_mode.type_name == "socks5":
            plane = Plane.SOCKS5
        else:
            plane = Plane.HTTP if protocol is Spoken.HTTP else Plane.TLS
        return Request(
            plane=plane,
            name=destination.name,
            address=destination.address,
            port=destination.port,
            client=_client_address(client),
            protocol=protocol,
            time_s=self._services.clock(),
        )

    def _refuse(self, flow: http.HTTPFlow, error: ProxyError, details: str) -> None:
        headers = flow.request.headers
        if "content-length" not in headers and "transfer-encoding" not in headers:
            flow.response = _response(error, details)
            return
        # mitmproxy fails on a response to a request whose body it streams.
        self._last_words(flow.client_conn, entrances.build_http_refusal(error, details))
        flow.kill()

    def _end_hello(self, data: tls.ClientHelloData, alert: AlertDescription) -> None:
        """Alert and close: the hook itself can only pass on or intercept."""
        client = data.context.client
        self._refused.add(client.id)
        data.ignore_connection = data.establish_server_tls_first = False
        self._last_words(client, build_alert(alert))

    @staticmethod
    def _last_words(client: connection.Client, words: bytes) -> None:
        proxyserver = ctx.master.addons.get("proxyserver")
        assert isinstance(proxyserver, Proxyserver)  # noqa: S101 no hook without it
        handler = proxyserver.connections.get(client.id)
        stream = handler.transports.get(client) if handler else None
        if stream and stream.writer is not None:
            stream.writer.write(words)
            stream.writer.close()


def _response(error: ProxyError, details: str) -> http.Response:
    return http.Response.make(
        error.http_status,
        f"{details}\n",
        {
            "Content-Type": "text/plain; charset=utf-8",
            "Proxy-Status": entrances.proxy_status(error, details),
            "Connection": "close",
        },
    )


def _client_address(client: connection.Client) -> Address:
    return parse_address(client.peername[0])
