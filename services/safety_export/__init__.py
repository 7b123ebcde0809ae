"""Training data for the monitored model leaves here: out of the database, into a folder, remembered."""
