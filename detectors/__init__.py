"""Pure domain and models: transcripts, windows, classifiers, ensembles, bundles. No Kafka, no database, no torch."""
