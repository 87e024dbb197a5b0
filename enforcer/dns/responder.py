"""The order of the steps for one query. Sans-I/O: bytes in; bytes, an Ask or nothing out.

    answer(packet)         blocked, known here or failed: bytes; else an Ask
    resume(ask, replies)   the replies judged in their turn: bytes, or the next Ask

    policy on the name > names that never leave > cache > upstreams > whose zone it is,
    where the policy wants to know > policy on what the answer leads to

The server carries each Ask to the upstreams and the replies back. Each query ends in one
count, and in one record where its verdict wants it. What is cached is what upstream
said; the policy in force is asked each time.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from enforcer.audit.event import AuditEvent, Record, audit_event
from enforcer.dns.ask import UDP, Ask, Asked, Asker, Content, Step
from enforcer.dns.cache import Cache, CacheLimits, Hit, Key
from enforcer.dns.delegation import Delegations
from enforcer.dns.filters import find_strip
from enforcer.dns.judge import Judge, judge_target
from enforcer.dns.packets.answer import Answer
from enforcer.dns.packets.cookies import Cookies
from enforcer.dns.packets.message import read_query
from enforcer.dns.packets.rebuild import without_additional
from enforcer.dns.packets.response import (
    MIN_UDP_BYTES,
    Ede,
    add_opt,
    build_bad_cookie,
    build_blocked,
    build_ede,
    build_failure,
    build_local,
    build_minimal_any,
    build_truncated,
    fit_udp,
)
from enforcer.dns.packets.svcb import strip_services
from enforcer.dns.packets.wire import AD, ANY, CD, RD, Query, parse_query
from enforcer.dns.quick import Known, QuickPath
from enforcer.dns.rewrite import build_rewritten, rewrite_target, target_query
from enforcer.dns.special_use import answer_unless_routed
from enforcer.dns.uncached import Uncached
from enforcer.metrics import Metrics
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import (
    Action,
    Address,
    Mode,
    OnFailure,
    Plane,
    Refusal,
    Request,
    Verdict,
)
from enforcer.policy.names import from_wire
from enforcer.tls.binding import Bindings

# Where an answer comes from, as it is counted.
ORIGINS: Final = ("policy", "cache", "stale", "upstream", "local", "failed")
_BLOCK: Final = Action.BLOCK
_DNS: Final = Plane.DNS
_STALE: Final = build_ede(Ede.STALE_ANSWER, "")
_FOREVER_S: Final = float("inf")

# A member is looked up in Python, each time.
_ANSWER, _DELEGATION, _REWRITE = Step.ANSWER, Step.DELEGATION, Step.REWRITE


class Shared(NamedTuple):
    """What a responder keeps between queries, and who else is told."""

    cache: Cache
    delegations: Delegations
    bindings: Bindings
    cookies: Cookies | None = None
    # Whether upstreams are asked for this name although it is special.
    is_routed: Callable[[bytes], bool] = lambda _: False
    # Whether upstreams are told a client's subnet, so that the answer is for it alone.
    passes_subnet: bool = False
    # A cookie over UDP must be one of ours; ANY over UDP gets the answer of RFC 8482.
    require_cookies: bool = False
    minimal_any: bool = False


def build_shared() -> Shared:
    """With the default limits."""
    return Shared(Cache(CacheLimits()), Delegations(), Bindings())


class Responder:
    """One for all sockets."""

    def __init__(
        self,
        policy: PolicyHolder,
        record: Record,
        metrics: Metrics,
        shared: Shared | None = None,
    ) -> None:
        self.quick = QuickPath(policy, metrics.audit_events_coarsened.cell())
        # Asks that no client waits for; whoever carries Asks takes them, too.
        self.later: list[Ask] = []
        self._policy = policy
        self._record = record
        self._shared = shared or build_shared()
        self._queries = metrics.dns_queries
        self._answers = {origin: metrics.dns_answers.cell(origin) for origin in ORIGINS}
        self._cache = self._shared.cache
        self._passes_subnet = self._shared.passes_subnet
        self._judge = Judge(self._shared.delegations, self._shared.is_routed, self.later).judge
        self._prefetches = metrics.dns_prefetches
        self._discarded = metrics.dns_discarded

    def answer(self, packet: bytes, asker: Asker, now_s: float) -> bytes | Ask | None:
        """None where nothing may be answered. ``now_s`` is seconds since the epoch."""
        query = parse_query(packet)
        if query is None:
            unusual = read_query(packet)
            if not isinstance(unusual, Query):
                self._discarded.add("malformed" if unusual is None else "unsupported")
                return unusual
            query = unusual
        edns = query.edns
        if edns is not None and edns.cookie and self._shared.cookies:
            reply = self._shared.cookies.reply(edns.cookie, asker.client, now_s)
            query = query._replace(edns=edns._replace(cookie=reply.cookie))
            if self._shared.require_cookies and not reply.valid and asker.transport == UDP:
                self._discarded.add("bad_cookie")
                return build_bad_cookie(query)
        policy = self._policy.current
        _, _, name, qtype, _, _ = query
        client, transport, _ = asker
        # By place: names for them cost as much as all the rest of it.
        request = Request(
            *(_DNS, from_wire(name), None, None, client, None, None),
            *(now_s, qtype, transport != UDP),
        )
        verdict = decide(policy, request)
        asked = Asked(packet, query, asker, request, policy, verdict)
        if verdict.action is _BLOCK:
            return self._block(asked, verdict, _FOREVER_S, now_s)
        local = answer_unless_routed(query.name, query.qtype, self._shared.is_routed)
        if local is not None:
            self._conclude(asked, request, verdict, "local")
            return _fit(asked, build_local(query, local))
        if qtype == ANY and self._shared.minimal_any and transport == UDP:
            self._conclude(asked, request, verdict, "local")
            return build_minimal_any(query)
        hit, older = self._look_up(query, now_s)
        if hit is None:
            return Ask((_upstream_query(query),), _ANSWER, asked, None, "upstream", 0, older)
        return self._settle(asked, hit.entry, "stale" if hit.stale else "cache", now_s)

    def _look_up(self, query: Query, now_s: float) -> tuple[Hit | None, bool]:
        """What may be given out of the cache; without it, whether there is something older.

        What is soon too old is fetched again beside it.
        """
        hit = None if self._is_for_subnet(query) else self._cache.get(_key(query), now_s)
        if hit is None or (hit.stale and hit.prefetch):
            return None, hit is not None
        if hit.prefetch:
            self._prefetches.add()
            self.later.append(Ask((_upstream_query(query),), _ANSWER))
        return hit, False

    def resume(self, ask: Ask, replies: Iterable[bytes | None], now_s: float) -> bytes | Ask | None:
        """What the replies lead to: None when nobody waits, or may be answered.

        ``replies`` are those to the Ask's queries, in their order, None for none.
        """
        queries, step, asked, content, origin, rounds, _ = ask
        if step is _DELEGATION:
            for query, reply in zip(queries, replies, strict=True):
                self._shared.delegations.learn(query, reply, now_s)
            if asked is None or content is None:
                return None
            return self._settle(asked, content, origin, now_s, rounds)
        (query,), (reply,) = queries, replies
        content = self._take(query, reply, now_s)
        if asked is None:
            return None
        if step is _REWRITE:
            if asked.policy is not self._policy.current:
                # The alias was another policy's; what is behind it is kept for who wants it.
                return self.answer(asked.packet, asked.asker, now_s)
            reply = content.render_for(query, now_s) if content else None
            return self._finish_rewrite(asked, query, reply)
        if content is None:
            return self._fail(asked, Ede.NO_REACHABLE_AUTHORITY, "no upstream answers")
        origin = "stale" if content.is_stale(now_s) else "upstream"
        return self._settle(asked, content, origin, now_s)

    def give_older(self, ask: Ask, now_s: float) -> bytes | Ask | None:
        """The answer that was good before, while the upstreams take their time (RFC 8767 5).

        An Ask where there is none to be given at once: the upstreams are waited for.
        """
        asked = ask.asked
        if asked is None:
            return ask
        hit = self._cache.get(_key(asked.query), now_s)
        return self._settle(asked, hit.entry, "stale", now_s) if hit else ask

    def overloaded(self, ask: Ask) -> bytes | None:
        """The answer to a query that there is no room for."""
        self._discarded.add("overloaded")
        if ask.asked is None:
            return None
        return self._fail(ask.asked, Ede.NOT_READY, "too many queries are waiting")

    def _take(self, query: Query, reply: bytes | None, now_s: float) -> Content | None:
        """A reply that upstream gave, or what there is in its place."""
        is_cached = not self._is_for_subnet(query)
        if reply is None:
            self._discarded.add("upstream_failed")
            return self._cache.failed(_key(query), now_s) if is_cached else None
        if not is_cached:
            return Uncached(reply)
        return self._cache.put(_key(query), reply, now_s) or Uncached(reply)

    def _settle(
        self, asked: Asked, content: Content, origin: str, now_s: float, rounds: int = 0
    ) -> bytes | Ask | None:
        """An answer by the policy in force, which may be newer than the question."""
        policy = self._policy.current
        if policy is not asked.policy:
            asked = asked._replace(policy=policy, verdict=decide(policy, asked.request))
        if content.answer is None and policy.policy.dns_on_failure is OnFailure.CLOSED:
            return self._cannot_read(asked)
        judged = self._judge(asked, content, now_s, rounds)
        if isinstance(judged, Ask):
            return judged._replace(origin=origin)
        if judged is None:
            text = "nobody says who serves the zone"
            return self._fail(asked, Ede.NO_REACHABLE_AUTHORITY, text)
        request, verdict = judged
        if verdict.action is _BLOCK:
            return self._block(asked, verdict, content.same_until_s(now_s), now_s)
        response = self._render(asked, content, request, verdict, now_s)
        if response is None:
            return self._cannot_read(asked)
        event = self._conclude(asked, request, verdict, origin)
        grant = self._grant(asked, content)
        if grant:
            grant(asked.asker.client, now_s)
        if origin == "cache":
            self._learn(asked, response, verdict, origin, content.same_until_s(now_s), event, grant)
        return response

    def _render(
        self, asked: Asked, content: Content, request: Request, verdict: Verdict, now_s: float
    ) -> bytes | None:
        """What the client gets of an answer; None when it cannot be made fit to be given."""
        query, answer = asked.query, content.answer
        response = content.render_for(query, now_s)
        if answer is None:
            # Nobody knows what it says, or what OPT would be behind.
            return _fit(asked, response)
        if not verdict.passthru and (answer.services or asked.policy.has_address_triggers):
            guarded = _guard(asked.policy, request, answer, response)
            if guarded is None:
                return None
            response = guarded
        if query.edns is not None:
            stale = _STALE if content.is_stale(now_s) else b""
            response = add_opt(query, response, content.ede + stale)
        return _fit(asked, response)

    def _cannot_read(self, asked: Asked) -> bytes:
        self._discarded.add("upstream_failed")
        return self._fail(asked, Ede.INVALID_DATA, "the upstream's answer cannot be read")

    def _is_for_subnet(self, query: Query) -> bool:
        """RFC 7871: an answer for one subnet is not given to another."""
        return self._passes_subnet and bool(query.edns and query.edns.client_subnet)

    def _block(
        self, asked: Asked, verdict: Verdict, until_s: float, now_s: float
    ) -> bytes | Ask | None:
        query = asked.query
        match verdict.refusal:
            case Refusal.DROP:
                response = None
            case Refusal.TCP_ONLY:
                response = build_truncated(query)
            case Refusal.CNAME if target := rewrite_target(query, verdict.cname):
                behind = judge_target(asked, verdict, target)
                if behind is not verdict:
                    return self._block(asked, behind, until_s, now_s)
                asked = asked._replace(verdict=verdict)
                return self._rewrite(asked, target_query(query, target), now_s)
            case _:
                text = verdict.explain(asked.policy.hint)
                response = _fit(asked, build_blocked(query, verdict, text))
        event = self._conclude(asked, asked.request, verdict, "policy")
        if response is not None:
            self._learn(asked, response, verdict, "policy", until_s, event)
        return response

    def _rewrite(self, asked: Asked, target: Query, now_s: float) -> bytes | Ask:
        """What is behind the alias is kept and fetched like any other answer."""
        local = answer_unless_routed(target.name, target.qtype, self._shared.is_routed)
        if local is not None:
            return self._finish_rewrite(asked, target, build_local(target, local))
        hit, _ = self._look_up(target, now_s)
        if hit is None:
            return Ask((_upstream_query(target),), _REWRITE, asked)
        return self._finish_rewrite(asked, target, hit.entry.render_for(target, now_s))

    def _finish_rewrite(self, asked: Asked, target: Query, reply: bytes | None) -> bytes:
        """The policy chose the alias, so it is not asked again about what is behind it."""
        ede = build_ede(Ede.BLOCKED, asked.verdict.explain(asked.policy.hint))
        response = build_rewritten(asked.query, target.name, reply, ede)
        self._conclude(asked, asked.request, asked.verdict, "policy")
        return _fit(asked, response)

    def _fail(self, asked: Asked, ede: Ede, text: str) -> bytes:
        """SERVFAIL. What the policy said of the question is counted and recorded all the same."""
        self._conclude(asked, asked.request, asked.verdict, "failed")
        return build_failure(asked.query, ede, text)

    def _conclude(
        self, asked: Asked, request: Request, verdict: Verdict, origin: str
    ) -> AuditEvent | None:
        """Count it, and record it where its verdict wants it; what was recorded."""
        self._queries.cell(verdict.action, asked.asker.transport).value += 1
        self._answers[origin].value += 1
        if not verdict.recorded:
            return None
        event = audit_event(request, verdict, asked.policy.policy.digest)
        self._record(event)
        return event

    def _grant(self, asked: Asked, content: Content) -> Callable[[Address, float], None] | None:
        """To be told of each client that gets the answer, so that the gate knows its addresses."""
        answer = content.answer
        if answer is None or not (answer.addresses or answer.services):
            return None
        addresses, targets = answer.addresses, tuple[str, ...]()
        if answer.services:
            addresses += tuple(hint for service in answer.services for hint in service.hints)
            targets = tuple(map(from_wire, answer.aliases))
        name, remember = asked.request.name, self._shared.bindings.remember

        def grant(client: Address, now_s: float) -> None:
            remember(client, name, addresses, content.ttl_s(now_s), now_s, targets)

        return grant

    def _learn(
        self,
        asked: Asked,
        response: bytes,
        verdict: Verdict,
        origin: str,
        until_s: float,
        event: AuditEvent | None,
        grant: Callable[[Address, float], None] | None = None,
    ) -> None:
        """The same question may be answered the quick way until then. ``event`` was recorded."""
        if asked.asker.transport != UDP or asked.policy is not self._policy.current:
            return
        cells = self._queries.cell(verdict.action, UDP), self._answers[origin]
        known = Known(response[2:], cells, until_s, event, grant)
        self.quick.learn(asked.packet, asked.asker.client, known, asked.request.time_s)


def _key(query: Query) -> Key:
    _, flags, name, qtype, _, edns = query
    return name, qtype, edns is not None and edns.do, bool(flags & CD)


def _upstream_query(query: Query) -> Query:
    """Upstream is always asked to resolve, and to say whether it validated (RFC 6840 5.7)."""
    ident, flags, name, qtype, question, edns = query
    return Query(ident, flags | RD | AD, name, qtype, question, edns)


def _guard(
    policy: CompiledPolicy, request: Request, answer: Answer, response: bytes
) -> bytes | None:
    """Without what would lead round the policy: what was judged is the answer section."""
    if policy.policy.mode is Mode.MONITOR:
        return response
    strip = find_strip(policy, request, answer) if answer.services else None
    stripped = strip_services(response, answer, strip) if strip else response
    return None if stripped is None else without_additional(stripped)


def _fit(asked: Asked, response: bytes) -> bytes:
    if len(response) <= MIN_UDP_BYTES or asked.asker.transport != UDP:
        return response
    return fit_udp(asked.query, response)
