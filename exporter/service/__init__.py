"""The running exporter: options, start, handover between probes, stop."""
