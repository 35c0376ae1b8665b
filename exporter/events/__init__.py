"""What the probe's bytes mean: keys and records as labels, traits and JSON."""
