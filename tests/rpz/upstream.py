"""An upstream resolver in memory: it knows the records that a scenario gives it, and no more."""

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

_MAX_CHAIN = 16
_ROOT_SOA = ". 60 SOA ns.invalid. admin.invalid. 1 3600 600 86400 60"


class Upstream:
    """``asked`` is every question, as text. ``down``: it answers none of them."""

    def __init__(self, lines: str) -> None:
        self.asked: list[str] = []
        self.set(lines)

    def set(self, lines: str) -> None:
        self.down = lines.strip() == "down"
        self._sets: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        self._names: set[dns.name.Name] = set()
        for line in [_ROOT_SOA, *([] if self.down else lines.splitlines())]:
            if line.strip():
                self._add(line)

    def _add(self, line: str) -> None:
        owner_text, ttl, kind_text, data = line.split(maxsplit=3)
        owner = dns.name.from_text(owner_text)
        kind = dns.rdatatype.from_text(kind_text)
        rdata = dns.rdata.from_text("IN", kind, data)
        rrset = self._sets.setdefault(
            (owner, kind), dns.rrset.RRset(owner, dns.rdataclass.IN, kind)
        )
        rrset.add(rdata, int(ttl))
        while owner != dns.name.root:
            self._names.add(owner)
            owner = owner.parent()

    def reply(self, packet: bytes) -> bytes | None:
        query = dns.message.from_wire(packet)
        (question,) = query.question
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{question.name.canonicalize()} {kind}")
        if self.down:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        self._answer(response, question.name, question.rdtype)
        return response.to_wire(max_size=65535)

    def _answer(self, response: dns.message.Message, name: dns.name.Name, kind: int) -> None:
        for _ in range(_MAX_CHAIN):
            found = self._find(name, kind)
            if found:
                response.answer += found
                return
            step = self._step(response, name)
            if step is None:
                break
            name = step
        if name not in self._names:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(self._soa(name))

    def _find(self, name: dns.name.Name, kind: int) -> list[dns.rrset.RRset]:
        return [
            rrset
            for (owner, has), rrset in self._sets.items()
            if owner == name and kind in (has, dns.rdatatype.ANY)
        ]

    def _step(self, response: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
        """Along a CNAME, or a DNAME above with the CNAME that is made of it (RFC 6672 3.1)."""
        alias = self._sets.get((name, dns.rdatatype.CNAME))
        if alias:
            response.answer.append(alias)
            return alias[0].target
        above = name
        while above != dns.name.root:
            above = above.parent()
            moved = self._sets.get((above, dns.rdatatype.DNAME))
            if moved:
                target = name.relativize(above) + moved[0].target
                made = dns.rrset.from_text(name, moved.ttl, "IN", "CNAME", target.to_text())
                response.answer += [moved, made]
                return target
        return None

    def _soa(self, name: dns.name.Name) -> dns.rrset.RRset:
        while (soa := self._sets.get((name, dns.rdatatype.SOA))) is None:
            name = name.parent()
        return soa
