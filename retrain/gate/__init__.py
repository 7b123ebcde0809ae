"""The gate: a candidate takes the champion's place only where it is not worse on any slice, and better where meant."""
