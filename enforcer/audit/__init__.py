"""What is on record: one event per verdict that blocks or touches a Connect URL.

``event``  the fields of an event, and what makes two of them one
``trail``  events folded in memory, flushed off the loop by one writer thread
``store``  the SQLite store and its queries
``sinks``  the log: one JSON line per event
"""
