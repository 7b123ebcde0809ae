"""Where versions of the detectors lie, and which of them is served."""
