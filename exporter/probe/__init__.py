"""The exporter's probe: what it needs of a kernel, how it is loaded and attached, what its maps hold."""
