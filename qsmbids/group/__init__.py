"""The group level: merged tables, age curves, norms, answers about people, and a page."""
