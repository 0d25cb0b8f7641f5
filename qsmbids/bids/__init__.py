"""Every output name, sidecar and dataset file, in one place."""
