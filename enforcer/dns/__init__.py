"""The DNS plane: the question is judged, then every name and address of the answer.

``wire``       a query read from bytes; "not mine" for everything unusual
``message``    the general road for unusual queries, with dnslib
``answer``     what an upstream's reply leads to, read from bytes
``response``   answers built from bytes: blocked, failed, passed on, truncated
``filters``    what an upstream's answer may say
``responder``  the order of the steps for one query; sans-I/O
``upstream``   one query and its reply, over UDP, and over TCP where that is too small
``forwarder``  which upstream is asked, and which after it
``resolve``    a name's addresses for the gate, under the same policy
``server``     the sockets; carries what the responder asks to the forwarder and back
"""
