"""How a candidate becomes what everybody is served, or does not."""
