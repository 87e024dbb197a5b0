"""What is allowed: the pure core that every plane asks.

``names``            a DNS name in text and wire form
``model``            the nouns: Policy, Rule, ConnectUrl, Request, Verdict
``source``           YAML with the file and line of every value; PolicyError
``document``         the shape of a policy file, and its JSON Schema
``load``             files to Policy (the only module here that reads files)
``specificity``      how closely a rule fits a request, as one key
``ties``             rules that some request would find equally specific
``compile``          Policy to CompiledPolicy: indexes built, ties refused
``decide``           ``decide(policy, request) -> Verdict``, and the precedence
``gateway_address``  the one rule that is built in, and that no policy changes
``lint``             what a policy must leave reachable, and what it should cover
``admit``            load, compile and lint in one call: what a reload runs
``holder``           the policy in force, swapped by one assignment

No socket, no clock: time and every other fact come in with the Request.
"""
