"""One module per --collector.NAME, and the owner of their maps, checkpoint and eviction."""
