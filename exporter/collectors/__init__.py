"""Groups of metrics, and the pipeline that owns their lock, checkpoint and eviction."""
