"""The dns section as it is handed to a worker: what was read is read again."""

import json
from pathlib import Path

from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import ListenSettings

WRITTEN = {
    "upstreams": [
        "192.0.2.53",
        "[2001:db8::53]:5353",
        "tcp://192.0.2.53",
        "tls://192.0.2.53:853#dns.example",
        "https://[2001:db8::1]/ask#dns.example",
    ],
    "forward": [{"suffixes": ["*.corp.example"], "upstreams": ["tls://192.0.2.1#corp.example"]}],
    "upstream_ca_file": "roots.pem",
    "allow_from": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"],
    "proxy_protocol_from": ["10.0.0.1"],
    "dot": {"certificate": "chain.pem", "key": "key.pem"},
    "cache": {"size_mb": 3},
}


def as_json(section):
    return json.loads(json.dumps(section.model_dump(mode="json")))


def test_what_was_read_is_read_again():
    settings = DnsSettings.model_validate(WRITTEN)

    assert DnsSettings.model_validate(as_json(settings)) == settings


def test_so_are_the_defaults_and_upstreams_put_in_later():
    upstreams = DnsSettings.model_validate(WRITTEN).upstreams
    settings = DnsSettings().model_copy(update={"upstreams": upstreams})

    assert DnsSettings.model_validate(as_json(settings)) == settings


def test_files_stay_where_they_are():
    dot = DnsSettings.model_validate(as_json(DnsSettings.model_validate(WRITTEN))).dot

    assert dot.certificate == Path("chain.pem")


def test_listeners_are_written_as_a_person_writes_them():
    listen = ListenSettings(dns=("127.0.0.1:53", "[::1]:53"))

    assert as_json(listen)["dns"] == ["127.0.0.1:53", "[::1]:53"]
    assert ListenSettings.model_validate(as_json(listen)).dns[1] == Endpoint("::1", 53)
