"""Clean training data for the model that is monitored, of what people confirmed. See docs/safety-data.md."""
