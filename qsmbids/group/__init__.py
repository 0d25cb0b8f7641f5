"""Tables and pages over all participants."""
