"""The admin listener: metrics and health, for machines inside the company.

``app``     the pages
``server``  uvicorn in our loop, within bounds

It has no password and no TLS: it tells nothing about a client or a name, and nothing can
be changed through it. Keep it on loopback or on a management network.
"""
