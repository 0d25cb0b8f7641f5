"""The age-specific atlas: templates, registration, region measures."""
