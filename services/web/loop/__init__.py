"""The loop back into the detectors, as people see it and act on it: the same for the page and the API."""
