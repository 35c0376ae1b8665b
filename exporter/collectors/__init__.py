"""One module per --collector.NAME, and the pipeline that owns their lock, checkpoint and eviction."""
