"""Who asks the gateway: sockets, who may, how often, and the way of each query through."""
