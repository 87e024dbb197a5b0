"""The DNS plane: the question is judged, then every name and address of the answer.

``wire``       a query read from bytes; "not mine" for everything unusual
``message``    the general road for unusual queries
``opt``        OPT records and their options
``cookies``    cookies for clients that send one
``answer``     what an upstream's reply leads to, read from bytes
``records``    names and records of any message
``rebuild``    a reply without some of its records
``svcb``       HTTPS and SVCB records without ech, and without hints that are blocked
``cache``      answers that may be given again, negative and stale ones too
``delegation`` which name servers a name has, and what must be asked to know
``special_use``  names that are answered here and never leak
``response``   answers built from bytes: blocked, failed, passed on, truncated
``filters``    what an upstream's answer may say
``responder``  the order of the steps for one query; sans-I/O
``upstream``   one query and its reply, over UDP, and over TCP where that is too small
``forwarder``  which upstream is asked, and which after it
``resolve``    a name's addresses for the gate, under the same policy
``access``     who may ask
``rate``       how often
``turn_away``  what those hear who may not
``proxy_header``  for whom a proxy asks
``stream_options``  what an answer says of the connection it goes over
``tcp``        streams: pipelined, bounded, idle ones closed
``dot``        the listener for TLS, and its certificate
``server``     the sockets; carries what the responder asks to the forwarder and back
"""
