"""Whom the gateway asks: which upstream, over what, and whether a reply is one."""
