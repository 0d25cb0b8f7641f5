"""Running the graph: workers, limits, progress, locks."""
