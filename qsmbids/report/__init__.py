"""Pictures and the HTML page of one participant."""
