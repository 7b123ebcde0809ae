"""The LLM judge's edge: endpoints over the network, what they may cost, and the cache. Off unless configured."""
