"""The add-on alone in stock mitmproxy: ``mitmdump -s .../enforcer/proxy/standalone.py``.

The same policy, without our DNS plane and gate. Options, by ``--set``:
``enforcer_policy`` a policy file (default: the embedded one), ``enforcer_audit`` a
SQLite store (default: events go to mitmproxy's log only).
"""
