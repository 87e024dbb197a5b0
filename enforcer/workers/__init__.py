"""DNS in processes of its own: the pool, each process, and what they say to each other."""
