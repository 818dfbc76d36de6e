"""From a row to a lock: the request to the resolver, the resolution, and the lock folders."""
