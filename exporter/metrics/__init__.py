"""Definitions of metrics, bounded series, their checkpoint, and the text exposition. Reads no kernel."""
