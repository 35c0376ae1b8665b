"""What is exposed and how it is written: definitions, bounded series, text. Reads no kernel."""
