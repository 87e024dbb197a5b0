"""Policy to CompiledPolicy: indexes by name; rules that cannot work are refused.

Everything that can be known at load is made here, once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from enforcer.policy.addresses import longest_prefix
from enforcer.policy.client_class import ClientClasses
from enforcer.policy.model import (
    Action,
    Address,
    ConnectUrl,
    Match,
    Policy,
    PortRange,
    Protocol,
    Request,
    Rule,
    Verdict,
)
from enforcer.policy.names import MAX_LABELS, MAX_WIRE_BYTES
from enforcer.policy.pattern import compile_pattern, literal_tail
from enforcer.policy.source import PolicyError, Problem
from enforcer.policy.specificity import ANY_NAME, NameFit, exact_fit, pattern_fit, suffix_fit
from enforcer.policy.ties import find_ties


class NameRule(NamedTuple):
    """A rule for names at and below a suffix; ``matches`` says which, None says all."""

    fit: NameFit
    rule: Rule
    matches: Callable[[str], object] | None


class ConnectUrlRule(NamedTuple):
    url: ConnectUrl
    rule: Rule


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy that planes ask; immutable, swapped whole on reload."""

    policy: Policy
    exact: dict[str, tuple[Rule, ...]]
    # A pattern stands under the labels after its last star, "" when there are none.
    suffix: dict[str, tuple[NameRule, ...]]
    nameless: tuple[Rule, ...]
    connect_urls: dict[str, tuple[ConnectUrlRule, ...]]
    hint: str
    # Names whose lookup is blocked for every client, in wire form: the DNS fast path.
    dns_blocked: Mapping[bytes, Verdict] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    clients: ClientClasses = field(default_factory=lambda: ClientClasses(()))
    has_ns_triggers: bool = False
    depends_on_time: bool = False

    @property
    def depends_on_client(self) -> bool:
        return len(self.clients) > 0

    def client_class(self, client: Address | None) -> int:
        """A number that two clients share only if every verdict on them is the same."""
        return self.clients.of(client)

    def is_guarded(self, name: str) -> bool:
        """Whether the policy is about this name: a Connect URL's host, or a rule's name part."""
        return name in self.connect_urls or any(
            rule.match.has_name for _, rule in self.candidates(name)
        )

    def candidates(self, name: str) -> Iterator[tuple[NameFit, Rule]]:
        """Every rule whose name part fits, with how well; Connect URLs are asked for apart."""
        if name:
            for rule in self.exact.get(name, ()):
                yield exact_fit(name), rule
            # Longer than any name on the wire: no reason to walk all of it.
            suffix = name if len(name) <= MAX_WIRE_BYTES else _last_labels(name)
            while True:
                for fit, rule, matches in self.suffix.get(suffix, ()):
                    if matches is None or matches(name):
                        yield fit, rule
                if not suffix:
                    break
                _, _, suffix = suffix.partition(".")
        for rule in self.nameless:
            yield ANY_NAME, rule

    def connect_url_rule(self, request: Request) -> Rule | None:
        """The Connect URL that a request belongs to, as a rule.

        While the port is not known, that is any of the host's, best one that may have
        the address.
        """
        found = None
        for url, rule in self.connect_urls.get(request.name, ()):
            if request.port is None or request.port == url.port:
                if allows_address(url, request.address):
                    return rule
                found = found or rule
        return found

    def connect_url(self, name: str, port: int | None) -> ConnectUrl | None:
        """The Connect URL of a host and port; any of the host's when the port is unknown."""
        for url, _ in self.connect_urls.get(name, ()):
            if port is None or port == url.port:
                return url
        return None


def _last_labels(name: str) -> str:
    return ".".join(name.rsplit(".", MAX_LABELS)[-MAX_LABELS:])


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Build the indexes. Raises PolicyError for ties, and for rules that cannot work."""
    urls = [ConnectUrlRule(url, connect_url_rule(url)) for url in policy.connect_urls]
    ssh_rules = tuple(_ssh_rules(policy.connect_urls))
    rules = (*ssh_rules, *policy.rules)
    problems = [*_unusable(policy), *find_ties([*(rule for _, rule in urls), *rules])]
    if problems:
        raise PolicyError(problems)
    exact: defaultdict[str, list[Rule]] = defaultdict(list)
    suffix: defaultdict[str, list[NameRule]] = defaultdict(list)
    hosts: defaultdict[str, list[ConnectUrlRule]] = defaultdict(list)
    for rule in rules:
        for name in dict.fromkeys(rule.match.names):
            exact[name].append(rule)
        for name in dict.fromkeys(rule.match.suffixes):
            suffix[name].append(NameRule(suffix_fit(name), rule, None))
        for pattern in dict.fromkeys(rule.match.patterns):
            matches = compile_pattern(pattern).fullmatch
            suffix[literal_tail(pattern)].append(NameRule(pattern_fit(pattern), rule, matches))
    for found in sorted(urls, key=lambda found: found.rule.id):
        for name in dict.fromkeys(found.rule.match.names):
            hosts[name].append(found)
    return CompiledPolicy(
        policy=policy,
        exact={name: tuple(rules) for name, rules in exact.items()},
        suffix={name: tuple(rules) for name, rules in suffix.items()},
        nameless=tuple(rule for rule in policy.rules if not rule.match.has_name),
        connect_urls={name: tuple(rules) for name, rules in hosts.items()},
        hint=" or ".join(map(str, policy.connect_urls)),
        clients=ClientClasses(network for rule in rules for network in rule.match.clients),
        has_ns_triggers=any(rule.match.nsdnames or rule.match.nsips for rule in rules),
        depends_on_time=any(rule.match.windows for rule in rules),
    )


def connect_url_rule(url: ConnectUrl) -> Rule:
    """A Connect URL as the rule that it is."""
    return Rule(
        id=f"connect-url:{url}",
        action=Action.ALLOW,
        match=Match(names=(url.host, *url.region_hosts), ports=(PortRange(url.port, url.port),)),
        reason=f"the company's Connect URL {url}",
        source=url.source,
        connect_url=url,
    )


def _ssh_rules(urls: Iterable[ConnectUrl]) -> Iterator[Rule]:
    """SSH to the hosts of Connect URLs, blocked on every port.

    ngrok takes ``ssh -R`` on the addresses of every ingress, and SSH names no host, so
    that a Connect URL's address is as good for it as the default's, whoever's account it
    is. Counts as a pack's rule: the policy's own may allow it.
    """
    taken: set[str] = set()
    for url in urls:
        names = tuple(dict.fromkeys((url.host, *url.region_hosts)))
        names = tuple(name for name in names if name not in taken)
        taken.update(names)
        if names:
            yield Rule(
                id=f"connect-url:{url}:ssh",
                action=Action.BLOCK,
                match=Match(names=names, protocols=(Protocol.SSH,)),
                reason=f"SSH does not say that it wants {url.host}, so any account could use it",
                source=url.source,
                from_pack=True,
            )


def allows_address(url: ConnectUrl, address: Address | None) -> bool:
    """Whether an address may answer for a Connect URL, as far as is known."""
    return address is None or not url.addresses or longest_prefix(address, url.addresses) > 0


def _unusable(policy: Policy) -> Iterator[Problem]:
    seen: dict[str, Rule] = {"default": policy.default}
    for rule in policy.rules:
        if rule.id in seen:
            yield Problem(
                rule.source,
                rule.id,
                f"this id is taken at {seen[rule.id].source}",
                "give each rule an id of its own",
            )
        seen[rule.id] = rule
        if rule.match == Match():
            yield Problem(
                rule.source,
                rule.id,
                "it has nothing to match, so it would match everything",
                f"write default: {rule.action} for that, or say what it matches",
            )
