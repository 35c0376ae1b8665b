"""HTTP, TLS and users, configured as exporter-toolkit's web.config.file."""
