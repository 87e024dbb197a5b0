"""The TLS plane: what a client wants to reach, decided before a byte goes there.

``entrances``   how a flow names its destination, and how each entrance is refused
``collector``   what a peer has sent so far
``inquiry``     what one connection asks the policy, and what it was told
``probe``       one handshake, to see which certificates an address presents
``look``        the same for every address of a host, for the command line
``verifier``    one probe of a Connect URL per target, its result kept
``own_doors``   what would come back to the gateway itself
``dial``        a connection to a destination, or what to tell the client
``splice``      bytes between two transports
``first_words`` what a client speaks
``late_ssh``    SSH behind something else
``flow``        one connection: peek, decide, then splice, refuse or hand over
``refuse``      how a flow ends that comes to nothing
``gate``        the listeners, and the flows and splices of their connections
``addon``       mitmproxy's hooks to decide()
``embedded``    mitmproxy in this process, for what the gate hands over
``standalone``  the add-on alone in stock mitmproxy
"""
