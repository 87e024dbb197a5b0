"""What is allowed: the pure core that every plane asks.

``names``            a DNS name in text and wire form
``model``            the nouns: Policy, Rule, ConnectUrl, Request, Verdict
``source``           YAML with the file and line of every value; PolicyError
``document``         the shape of a policy file, and its JSON Schema
``written``          how the entries of a file are written, and what is wrong with them
``load``             files to Policy (the only module here that reads files)
``rules``            rules as a file writes them to rules as the core has them
``lists``            domain lists as others publish them; ``name_table`` holds the names
``rpz``              response policy zones to rules; ``rpz_trigger`` and ``zone_file`` read them
``query_type``       query types by name and number
``local_data``       records that a rule answers with, to wire form
``time_window``      times of the week at which a rule holds
``specificity``      how closely a rule fits a request, as one key
``ties``             rules that some request would find equally specific
``index``            which rules may fit a request, by name, range and name server
``prefix_table``     ranges by address
``client_class``     which ranges of a policy hold a client, as one number
``compile``          Policy to CompiledPolicy: indexes built, ties refused
``decide``           ``decide(policy, request) -> Verdict``, and the precedence
``gateway_address``  the one rule that is built in, and that no policy changes
``lint``             what a policy must leave reachable, and what it should cover
``admit``            load, compile and lint in one call: what a reload runs
``holder``           the policy in force, swapped by one assignment

No socket, no clock: time and every other fact come in with the Request.
"""
