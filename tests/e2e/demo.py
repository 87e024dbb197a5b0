"""The story of the gateway in under a minute: refused, served, impersonated and refused.

    PYTHONPATH=tests python -m e2e.demo

A real ngrok agent, a real DNS client and the gateway itself, in a lab of network
namespaces. Exits 1 when the story does not hold. Without root it goes on in a user
namespace, where the machine allows that.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pki
from e2e import policies
from e2e.agent import GREETING
from e2e.agents import AgentResult
from e2e.gateway import Gateway
from e2e.ingress import ANY_NAME, Ingress
from e2e.judges import dig
from e2e.lab import Lab
from e2e.tools import find_sbin, missing_right, missing_tools
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, EDGE, IMPOSTOR, PUBLIC_RESOLVER
from rich.console import Console
from rich.markup import escape

# A namespace of our own needs a /run of its own for the named ones inside, and a file
# where /etc/resolv.conf leads, if it leads into the /run that is covered now.
ENTER = """
resolv_conf=$(readlink -f /etc/resolv.conf)
mount -t tmpfs tmpfs /run && mkdir /run/netns || exit
case $resolv_conf in /run/*) mkdir -p "${resolv_conf%/*}" && : >"$resolv_conf" ;; esac
exec "$@"
"""
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


class Story:
    """Tells what happens, and keeps count of what did not go as it should."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self.holds = True

    def chapter(self, title: str) -> None:
        self._console.print(f"\n[bold]{title}[/]")

    def tell(self, text: str) -> None:
        # The terminal breaks long lines: a reader that is no terminal wants them whole.
        self._console.print(f"  {text}", soft_wrap=True)

    def expect(self, fact: bool, text: str) -> None:  # noqa: FBT001 what a story is about
        self.holds &= fact
        mark = "[green]✓[/]" if fact else "[bold red]✗ this should be so, and is not:[/]"
        self.tell(f"{mark} {text}")

    def agent(self, target: str, result: AgentResult) -> None:
        outcome = f"[green]connected, {escape(result.url)}[/]"
        if not result.connected:
            outcome = f"[red]{escape(result.error)}[/]"
        self.tell(f"[dim]agent →[/] {target}: {outcome} [dim]after {result.seconds:.2f} s[/]")


def refused_at_the_default_ingress(story: Story, lab: Lab, edge: Ingress, root: bytes) -> None:
    story.chapter("1  An agent that was told nothing tries ngrok's default ingress")
    result = lab.agent(f"{DEFAULT_INGRESS}:443", root)
    story.agent(DEFAULT_INGRESS, result)
    story.expect(not result.connected, f"it is refused, though it asked {PUBLIC_RESOLVER.v4}")
    lookup = dig(lab.client, DEFAULT_INGRESS)
    story.expect(lookup.status == "NXDOMAIN", f"and dig sees why: {escape(lookup.error)}")
    result = lab.agent(f"{DEFAULT_INGRESS}:443", root, address=EDGE.v4)
    story.agent(f"{DEFAULT_INGRESS} at {EDGE.v4}, without DNS", result)
    story.expect(not result.connected, "it is refused by the name in its ClientHello")
    story.expect(not edge.sessions(), "ngrok's edge has seen nothing of it")


@contextmanager
def served_at_the_connect_url(story: Story, lab: Lab, edge: Ingress, root: bytes) -> Iterator[None]:
    story.chapter("2  It is given the company's Connect URL, at the very same address")
    with lab.connected_agent(f"{CONNECT_URL}:443", root) as agent:
        story.agent(CONNECT_URL, agent.result)
        story.expect(agent.result.connected, "who answers there was verified, and it is served")
        answer = lab.ask_endpoint(agent.result.url)
        story.expect(answer == GREETING.decode(), f"its endpoint answers: “{escape(answer)}”")
        yield
        still = lab.ask_endpoint(agent.result.url) == GREETING.decode()
        story.expect(still, "the session from before goes on, untouched")


def refused_at_an_impostor(story: Story, lab: Lab, root: bytes) -> None:
    story.chapter("3  Somebody else answers for the Connect URL's name")
    false = pki.ngrok_like(keys="impostor").leaf(CONNECT_URL)
    impostor = lab.start_edge({ANY_NAME: false}, IMPOSTOR)
    story.tell(
        f"DNS now leads {CONNECT_URL} to {IMPOSTOR.v4}, whose certificate names\n"
        f"  the right issuer: [dim]{escape(false.certificate.issuer.rfc4514_string())}[/]"
    )
    lab.point(CONNECT_URL, IMPOSTOR)
    result = lab.agent(f"{CONNECT_URL}:443", root)
    story.agent(CONNECT_URL, result)
    story.expect(not result.connected, "the name is right, the key is not: refused")
    story.expect(not impostor.sessions(), "not a byte of the agent's has reached the impostor")


def on_record(story: Story, gateway: Gateway) -> None:
    story.chapter("What is on record: enforcer audit")
    gateway.audited("--name", CONNECT_URL, action="block")
    records = gateway.audit()
    sys.stdout.flush()
    story.holds &= gateway.show_audit() == 0
    actions = {(row["name"], row["action"]) for row in records}
    wanted = {(DEFAULT_INGRESS, "block"), (CONNECT_URL, "allow"), (CONNECT_URL, "block")}
    story.expect(wanted <= actions, "every attempt is on record, with the rule that decided")


def play(story: Story, directory: Path) -> None:
    started_s = time.monotonic()
    authority = pki.ngrok_like()
    root = authority.root_pem
    story.tell(
        f"A company has its own Connect URL at ngrok, [bold]{CONNECT_URL}:443[/]. This is its\n"
        "  egress gateway, between a client and an internet, each a network namespace."
    )
    with Lab("demo", directory) as lab:
        names = (CONNECT_URL, DEFAULT_INGRESS)
        leaves = {name: authority.leaf(name) for name in names}
        edge = lab.start_edge({ANY_NAME: leaves[DEFAULT_INGRESS], **leaves})
        gateway = lab.start_gateway(policies.enforcing(), files={policies.ROOT_FILE: root})
        refused_at_the_default_ingress(story, lab, edge, root)
        with served_at_the_connect_url(story, lab, edge, root):
            refused_at_an_impostor(story, lab, root)
        on_record(story, gateway)
        story.expect(gateway.stop() == 0, "the gateway stops when told to, with exit code 0")
    story.tell(f"[dim]That took {time.monotonic() - started_s:.0f} s.[/]")


def enter_user_namespace() -> None:
    """Run this again as root of a user namespace. Returns only where there can be none."""
    if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0:
        again = [sys.executable, "-m", "e2e.demo"]
        os.execvp(UNSHARE[0], [*UNSHARE, "sh", "-c", ENTER, "sh", *again])


def main() -> None:
    find_sbin()
    if missing_right():
        enter_user_namespace()
        sys.exit("the demo builds network namespaces, which this user may not: run it as root")
    if remedy := missing_tools():
        sys.exit(remedy)
    story = Story()
    try:
        with tempfile.TemporaryDirectory(prefix="enforcer-demo-") as directory:
            play(story, Path(directory))
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"the story broke off: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if story.holds else 1)


if __name__ == "__main__":
    main()
