"""The running exporter: options, start, hand-over between probes, stop."""
