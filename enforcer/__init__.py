r"""Make the company's own ngrok Connect URL the only way out for ngrok agents.

Each layer imports from those below it, and never from its neighbours (``|``):

    cli       check  explain  verify  banner      commands and what they print
    service                                       builds the planes, swaps, drains
    dns | proxy | admin | reload                  the planes: parse, ask, act, record
    tls | audit | settings                        what the planes share
    metrics | state                               every number; where state is kept
    policy                                        what is allowed: decide(), pure

    DNS query    -> dns    --\
    ClientHello  -> proxy  ---+--> policy.decide(request) -> Verdict -> act -> record
    CONNECT/HTTP -> proxy  --/

Read next: ``policy/decide.py`` (the precedence), ``service.py`` (the wiring),
``dns/responder.py`` and ``proxy/flow.py`` (the steps of one query, of one connection).
"""

__version__ = "0.1.0"
