"""The exporter's probe: the kernel features it needs, loading, attaching, and the contents of its maps."""
