"""The policies of the scenarios: one that enforces, and what a scenario changes of it."""

from typing import Any

import yaml
from e2e.topology import CONNECT_URL, REGION_HOST

# The lab cannot own ngrok's key, so its issuer is named by root, not as `ngrok`.
ROOT_FILE = "ngrok-like.pem"
OWN_ROOT = {"roots": [ROOT_FILE]}


def connect_url(host: str = CONNECT_URL, **changes: Any) -> dict[str, Any]:
    return {"host": host, "issuer": OWN_ROOT, **changes}


def enforcing(**changes: Any) -> str:
    """A company's policy: the pack, one Connect URL, and the rest of the internet open."""
    policy = {
        "version": 1,
        "mode": "enforce",
        "default": "allow",
        "include": ["packs/ngrok.yaml"],
        "connect_urls": [connect_url(region_hosts=[REGION_HOST])],
    }
    return yaml.safe_dump({**policy, **changes}, sort_keys=False)


def block(rule_id: str, **match: Any) -> dict[str, Any]:
    return {"id": rule_id, "action": "block", "match": match, "reason": "the lab says so"}
