"""Policy zones from their primaries, by AXFR and IXFR."""
