"""mitmproxy's hooks to Request, Verdict to action.

Inside the gateway it decides on the plain HTTP that the gate hands over. Alone in stock
mitmproxy (``mitmdump -s``, see standalone.py) it does so for every connection: refuse,
pass a Connect URL on untouched once its issuer is verified, leave the rest to mitmproxy.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from enforcer.audit.event import Record, audit_event
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address, Plane, Request, Verdict
from enforcer.policy.model import Protocol as Spoken
from enforcer.policy.names import fold
from enforcer.proxy import entrances
from enforcer.proxy.flow import Resolve
from enforcer.proxy.verifier import Verifier
from enforcer.tls.first_bytes import AlertDescription, build_alert

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AddonServices:
    """What the add-on asks. Without ``resolve``, mitmproxy looks names up by itself.

    ``intercept`` leaves what the policy allows to mitmproxy; otherwise it is passed on.
    """

    policy: PolicyHolder
    record: Record
    metrics: Metrics
    verifier: Verifier
    resolve: Resolve | None
    intercept: bool
    clock: Callable[[], float]


class PolicyAddon:
    """One per mitmproxy master."""

    def __init__(self, services: AddonServices) -> None:
        self._services = services
        # Clients whose connection is a CONNECT tunnel by now, by mitmproxy's id.
        self._tunnels: set[str] = set()

    def client_disconnected(self, client: connection.Client) -> None:
        self._tunnels.discard(client.id)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._tunnels.add(flow.client_conn.id)
        request = self._request(flow.client_conn, flow.request.host, flow.request.port, None)
        verdict = decide(self._services.policy.current, request)
        if verdict.blocks:
            self._conclude(request, verdict)
            flow.response = self._refusal(entrances.DENIED, self._explain(verdict))

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.client_conn.tls_established:
            return  # decided when its ClientHello came
        if flow.request.scheme != "http":
            details = "ask for https by CONNECT"
            flow.response = self._refusal(entrances.BAD_REQUEST, details)
            return
        # The Host field names the site that the destination will serve (RFC 9110 7.2).
        for name in dict.fromkeys((flow.request.host, flow.request.pretty_host)):
            request = self._request(flow.client_conn, name, flow.request.port, Spoken.HTTP)
            verdict = decide(self._services.policy.current, request)
            self._conclude(request, verdict)
            if verdict.blocks:
                flow.response = self._refusal(entrances.DENIED, self._explain(verdict))
                return

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        """Dial an address that our own resolver gave and that the policy lets pass."""
        if self._services.resolve is None or data.server.address is None:
            return
        host, port = data.server.address[:2]
        request = self._request(data.client, host, port, None)
        addresses: tuple[Address, ...] = (request.address,) if request.address else ()
        if not addresses:
            resolved = await self._services.resolve(request.name, _client_address(data.client))
            addresses = resolved.addresses
            if resolved.verdict is not None:
                self._conclude(request, resolved.verdict)
                data.server.error = self._explain(resolved.verdict)
                return
        if not addresses:
            data.server.error = f"{request.name} has no address"
            return
        request = request._replace(address=addresses[0])
        verdict = decide(self._services.policy.current, request)
        if verdict.blocks:
            self._conclude(request, verdict)
            data.server.error = self._explain(verdict)
        data.server.address = (str(addresses[0]), port)

    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        context = data.context
        if context.server.address is None:
            return
        host, port = context.server.address[:2]
        address = await self._address(context.server)
        sni = fold(data.client_hello.sni or "")
        dialled = self._request(context.client, host, port, Spoken.TLS).name
        untouched = not self._services.intercept
        for name in dict.fromkeys([name for name in (dialled, sni) if name] or [""]):
            request = self._request(context.client, name, port, Spoken.TLS)
            request = request._replace(address=address)
            verdict = await self._verified(request)
            self._conclude(request, verdict)
            if verdict.blocks:
                self._close(context.client, verdict)
                data.ignore_connection = True
                return
            untouched |= verdict.connect_url is not None
        data.ignore_connection = untouched

    async def _verified(self, request: Request) -> Verdict:
        policy = self._services.policy.current
        verdict = decide(policy, request)
        if verdict.verify is None or request.address is None or request.port is None:
            return verdict
        fact = await self._services.verifier.verify(
            verdict.verify, request.address, request.port, request.name
        )
        return decide(policy, request._replace(certificate=fact))

    async def _address(self, server: connection.Server) -> Address | None:
        """Where the server is or will be dialled."""
        if server.peername:
            return parse_address(server.peername[0])
        assert server.address is not None  # noqa: S101 the caller has looked
        host, port = server.address[:2]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return None
        # From here on this very address, so that what was verified is what is used.
        server.address = (str(found[0][4][0]), port)
        return parse_address(str(found[0][4][0]))

    def _request(
        self, client: connection.Client, host: str, port: int, protocol: Spoken | None
    ) -> Request:
        try:
            name, address = "", parse_address(host)
        except ValueError:
            name, address = fold(host), None
        tunnel = client.id in self._tunnels
        plain = Plane.HTTP if protocol is Spoken.HTTP else Plane.TLS
        return Request(
            plane=Plane.CONNECT if tunnel else plain,
            name=name,
            address=address,
            port=port,
            client=_client_address(client),
            protocol=protocol,
            time_s=self._services.clock(),
        )

    def _explain(self, verdict: Verdict) -> str:
        return verdict.explain(self._services.policy.current.hint)

    def _conclude(self, request: Request, verdict: Verdict) -> None:
        services = self._services
        services.metrics.tls_connections.add(verdict.action.value, request.plane.value)
        if verdict.recorded:
            digest = services.policy.current.policy.digest
            services.record(audit_event(request, verdict, digest))

    @staticmethod
    def _refusal(error: entrances.ProxyError, details: str) -> http.Response:
        return http.Response.make(
            error.http_status,
            f"{details}\n",
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Proxy-Status": entrances.proxy_status(error, details),
                "Connection": "close",
            },
        )

    @staticmethod
    def _close(client: connection.Client, verdict: Verdict) -> None:
        """Alert and close: the hook itself can only pass on or intercept."""
        proxyserver = ctx.master.addons.get("proxyserver")
        assert isinstance(proxyserver, Proxyserver)  # noqa: S101 no hook without it
        writer = proxyserver.connections[client.id].transports[client].writer
        if writer is not None:
            certificate = verdict.connect_url is not None
            writer.write(
                build_alert(
                    AlertDescription.ACCESS_DENIED
                    if certificate
                    else AlertDescription.UNRECOGNIZED_NAME
                )
            )
            writer.close()


def _client_address(client: connection.Client) -> Address:
    return parse_address(client.peername[0])
