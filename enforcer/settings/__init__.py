"""One gateway's settings: endpoint, section, dns, gateway (the whole file), load."""
