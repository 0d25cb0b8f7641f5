"""Small tables and templates that ship with the package."""
