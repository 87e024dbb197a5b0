"""Bytes and certificates, without a socket or a clock.

Public: clienthello.parse_client_hello, first_bytes.sniff and build_alert,
chain.verify_chain, anchors.builtin_anchors and load_anchors.
"""
