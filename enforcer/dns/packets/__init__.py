"""DNS messages: bytes to values and values to bytes; no sockets, no opinion."""
