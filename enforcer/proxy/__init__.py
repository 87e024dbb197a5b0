"""The TLS plane: what a client wants to reach, decided before a byte goes there.

``entrances``   how a flow names its destination, and how each entrance is refused
``client``      what a client has sent so far
``probe``       one handshake, to see which certificates an address presents
``verifier``    one probe of a Connect URL per target, its result kept
``splice``      bytes between two transports
``flow``        one connection: peek, decide, then splice, refuse or hand over
``gate``        the listeners, and the flows and splices of their connections
``addon``       mitmproxy's hooks to decide()
``embedded``    mitmproxy in this process, for the streams that the gate hands over
``standalone``  the add-on alone in stock mitmproxy
"""
