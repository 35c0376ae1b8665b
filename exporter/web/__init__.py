"""HTTP, TLS and users, configured like exporter-toolkit's web.config.file."""
