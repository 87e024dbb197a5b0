"""One probe per target, kept for a while, and an answer whatever happens."""

import asyncio
from datetime import UTC, datetime, timedelta

import pki
import pytest
import uvloop
from integration.tls_servers import (
    LOOPBACK,
    Edge,
    listening,
    read_all,
    server_context,
    server_hello_and,
)

from enforcer.metrics import Metrics
from enforcer.policy.model import CertificateCheck, ConnectUrl, Issuer, Source
from enforcer.proxy.verifier import REFUSED_FOR_S, UNAVAILABLE_FOR_S, Verifier

HOST = "connect.example.com"
NGROK = pki.ngrok_like()
IMPOSTOR = pki.ngrok_like(keys="impostor")
OWN = Issuer("own", NGROK.root_pem)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    def bounded(scenario):
        async def main():
            async with asyncio.timeout(10):
                return await scenario()

        return request.param(main())

    return bounded


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def verifier(metrics, clock):
    return Verifier(metrics, clock, timeout_s=1.0, verified_for_s=300.0)


def url(issuer=OWN):
    return ConnectUrl(HOST, 443, issuer, (), (), Source("policy.yaml", 1))


def counted(metrics):
    cells = metrics.connect_url_probes.cells
    return {values[0]: int(cell.value) for values, cell in cells.items() if cell.value}


def edge_of(leaf):
    return Edge(server_context(leaf))


def long_valid(host=HOST, **shape):
    """Also at the time of the clock that stands still."""
    return NGROK.leaf(host, not_before=pki.NGROK_ROOT_NOT_BEFORE, **shape)


async def until_somebody_came(edge):
    assert await asyncio.to_thread(edge.came.wait, 5)


def test_expected_issuer_is_accepted_and_kept(run, verifier, metrics, clock):
    async def scenario():
        edge = edge_of(long_valid())
        with edge:
            facts = [await verifier.verify(url(), LOOPBACK, edge.port, HOST) for _ in range(3)]
            assert edge.connections == 1
            clock.advance(299)
            facts.append(await verifier.verify(url(), LOOPBACK, edge.port, HOST))
            assert edge.connections == 1
            clock.advance(2)
            facts.append(await verifier.verify(url(), LOOPBACK, edge.port, HOST))
            assert edge.connections == 2
        return facts

    facts = run(scenario)
    assert {fact.check for fact in facts} == {CertificateCheck.ACCEPTED}
    assert f"the certificate of {HOST} at 127.0.0.1 is accepted" in facts[0].reason
    assert counted(metrics) == {"accepted": 2}


@pytest.mark.parametrize(
    ("leaf", "issuer", "says"),
    [
        (IMPOSTOR.leaf(HOST), OWN, "refused (wrong_issuer)"),
        (NGROK.leaf(HOST), Issuer("ngrok"), "refused (wrong_issuer)"),
        (NGROK.leaf(HOST), Issuer("letsencrypt"), "refused (wrong_issuer)"),
        (
            long_valid("other.example"),
            OWN,
            "refused (wrong_host)",
        ),
        (
            long_valid(key="rsa1024"),
            OWN,
            "refused (weak_key)",
        ),
    ],
)
def test_refused_certificate_is_looked_at_again_soon(
    run, verifier, metrics, clock, leaf, issuer, says
):
    async def scenario():
        edge = edge_of(leaf)
        with edge:
            fact = await verifier.verify(url(issuer), LOOPBACK, edge.port, HOST)
            clock.advance(REFUSED_FOR_S + 0.1)
            await verifier.verify(url(issuer), LOOPBACK, edge.port, HOST)
            assert edge.connections == 2
        return fact

    fact = run(scenario)
    assert fact.check is CertificateCheck.REFUSED
    assert says in fact.reason
    assert counted(metrics) == {"refused": 2}


def test_garbage_is_refused_and_not_merely_unseen(run, verifier):
    async def behave(reader, writer):
        await reader.read(65536)
        writer.write(server_hello_and(b"garbage"))
        await read_all(reader, writer)

    async def scenario():
        async with listening(behave) as port:
            return await verifier.verify(url(), LOOPBACK, port, HOST)

    assert run(scenario).check is CertificateCheck.REFUSED


def test_acceptance_ends_with_the_certificate(run, metrics, clock):
    """It is never kept longer than the first certificate of the path is valid."""
    patient = Verifier(metrics, clock, timeout_s=1.0, verified_for_s=10**9)
    now = datetime.fromtimestamp(clock(), UTC)
    leaf = NGROK.leaf(
        HOST,
        not_before=pki.NGROK_ROOT_NOT_BEFORE,
        not_after=now + timedelta(seconds=60),
    )

    async def scenario():
        edge = edge_of(leaf)
        with edge:
            first = await patient.verify(url(), LOOPBACK, edge.port, HOST)
            clock.advance(61)
            return first, await patient.verify(url(), LOOPBACK, edge.port, HOST)

    first, second = run(scenario)
    assert first.check is CertificateCheck.ACCEPTED
    assert second.check is CertificateCheck.REFUSED
    assert "expired" in second.reason


def test_all_who_come_at_once_wait_for_one_probe(run, verifier, metrics):
    async def scenario():
        edge = edge_of(long_valid())
        edge.may_go_on.clear()
        with edge:
            async with asyncio.TaskGroup() as clients:
                asked = [
                    clients.create_task(verifier.verify(url(), LOOPBACK, edge.port, HOST))
                    for _ in range(50)
                ]
                await until_somebody_came(edge)
                edge.may_go_on.set()
        assert edge.connections == 1
        return [task.result().check for task in asked]

    assert run(scenario) == [CertificateCheck.ACCEPTED] * 50
    assert counted(metrics) == {"accepted": 1}


def test_client_that_goes_away_does_not_end_the_probe_of_the_others(run, verifier):
    async def scenario():
        edge = edge_of(long_valid())
        edge.may_go_on.clear()
        with edge:
            async with asyncio.TaskGroup() as clients:
                impatient = clients.create_task(verifier.verify(url(), LOOPBACK, edge.port, HOST))
                await until_somebody_came(edge)
                patient = clients.create_task(verifier.verify(url(), LOOPBACK, edge.port, HOST))
                impatient.cancel()
                edge.may_go_on.set()
        assert edge.connections == 1
        assert impatient.cancelled()
        return patient.result().check

    assert run(scenario) is CertificateCheck.ACCEPTED


def test_each_host_and_issuer_at_an_address_is_a_target_of_its_own(run, verifier):
    async def scenario():
        edge = edge_of(long_valid())
        with edge:
            region = await verifier.verify(url(), LOOPBACK, edge.port, "us.connect.example.com")
            own = await verifier.verify(url(), LOOPBACK, edge.port, HOST)
            ngrok = await verifier.verify(url(Issuer("ngrok")), LOOPBACK, edge.port, HOST)
        assert edge.connections == 3
        return [fact.check.value for fact in (region, own, ngrok)]

    assert run(scenario) == ["refused", "accepted", "refused"]


def test_silent_server_is_unavailable_when_the_time_is_up(run, metrics, clock):
    hasty = Verifier(metrics, clock, timeout_s=0.1, verified_for_s=300.0)

    async def scenario():
        async with listening(read_all) as port:
            return await hasty.verify(url(), LOOPBACK, port, HOST)

    fact = run(scenario)
    assert fact.check is CertificateCheck.UNAVAILABLE
    assert "could not be seen: no answer in time" in fact.reason
    assert counted(metrics) == {"unavailable": 1}


def test_unreachable_server_is_looked_at_again_when_it_may_be_back(run, verifier, clock):
    async def scenario():
        async with listening(read_all) as port:
            pass
        first = await verifier.verify(url(), LOOPBACK, port, HOST)
        clock.advance(UNAVAILABLE_FOR_S + 0.1)
        second = await verifier.verify(url(), LOOPBACK, port, HOST)
        return first, second

    for fact in run(scenario):
        assert fact.check is CertificateCheck.UNAVAILABLE
        assert "Connection refused" in fact.reason


def test_fault_of_our_own_is_an_answer_and_not_kept_for_long(run, verifier, metrics, clock, capsys):
    """Roots that cannot be read stand for whatever should never happen."""
    broken = Issuer("own", b"no roots")

    async def scenario():
        edge = edge_of(NGROK.leaf(HOST))
        with edge:
            fact = await verifier.verify(url(broken), LOOPBACK, edge.port, HOST)
            clock.advance(UNAVAILABLE_FOR_S + 0.1)
            await verifier.verify(url(broken), LOOPBACK, edge.port, HOST)
            assert edge.connections == 2
        return fact

    fact = run(scenario)
    assert fact.check is CertificateCheck.UNAVAILABLE
    assert "the check itself failed" in fact.reason
    assert counted(metrics) == {"unavailable": 2}
    assert "no certificate that can be read" in capsys.readouterr().out


def test_more_targets_than_are_looked_at_at_once_are_answered_at_once(run, metrics, clock):
    verifier = Verifier(metrics, clock, timeout_s=5.0, verified_for_s=300.0, max_under_way=2)

    async def scenario():
        edge = edge_of(long_valid())
        edge.may_go_on.clear()
        with edge:
            async with asyncio.TaskGroup() as clients:
                waiting = [
                    clients.create_task(verifier.verify(url(), LOOPBACK, edge.port, host))
                    for host in (HOST, "us.connect.example.com")
                ]
                await until_somebody_came(edge)
                third = await verifier.verify(url(), LOOPBACK, edge.port, "eu.connect.example.com")
                assert not any(task.done() for task in waiting)
                # Who asks for what is looked at already is not turned away.
                waiting.append(
                    clients.create_task(verifier.verify(url(), LOOPBACK, edge.port, HOST))
                )
                edge.may_go_on.set()
        return third, [task.result().check.value for task in waiting]

    third, rest = run(scenario)
    assert third.check is CertificateCheck.UNAVAILABLE
    assert "other checks are under way" in third.reason
    assert rest == ["accepted", "refused", "accepted"]


def test_oldest_result_makes_room(run, metrics, clock):
    verifier = Verifier(metrics, clock, timeout_s=5.0, verified_for_s=300.0, max_cached=2)

    async def scenario():
        edge = edge_of(long_valid())
        with edge:
            for host in ("a.example", "b.example", "c.example", "b.example", "c.example"):
                await verifier.verify(url(), LOOPBACK, edge.port, host)
            assert edge.connections == 3
            await verifier.verify(url(), LOOPBACK, edge.port, "a.example")
            assert edge.connections == 4

    run(scenario)


def test_loop_turns_while_a_chain_is_judged(run, metrics, clock):
    """Path validation runs in a thread: a timer of 1 ms is not kept waiting by it."""
    many = b"".join(pki.ngrok_like(keys=keys).root_pem for keys in ("ngrok", "impostor"))
    verifier = Verifier(metrics, clock, timeout_s=5.0, verified_for_s=300.0)

    async def scenario():
        edge = edge_of(IMPOSTOR.leaf(HOST))
        with edge:
            loop = asyncio.get_running_loop()
            longest_s, before_s = 0.0, loop.time()
            task = asyncio.ensure_future(
                verifier.verify(url(Issuer("own", many)), LOOPBACK, edge.port, HOST)
            )
            while not task.done():
                await asyncio.sleep(0.001)
                longest_s, before_s = max(longest_s, loop.time() - before_s), loop.time()
            return longest_s

    assert run(scenario) < 0.25
