"""What is on record: one event per verdict that blocks or touches a Connect URL.

``event``    the fields of an event, and what makes two of them one
``text``     what clients chose to send, made safe to store and to show
``window``   equal events folded in memory, within a bound
``schema``   the store's tables and their versions
``query``    which events are asked for, read from the store
``listing``  the same in the words of a command line
``table``    events for a person at a terminal
``plain``    events for a pipe or a file, a line each
``console``  the log for a person at a terminal
``trail``    what planes call; one writer thread takes it from there
``store``    the SQLite store, written
``sinks``    the log: one JSON line per event, and everything else that is logged
"""
