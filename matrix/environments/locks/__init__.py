"""From a row to a lock: what is asked of the resolver, what it answered, and where that is kept."""
