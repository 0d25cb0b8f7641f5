"""What will be done: discovery, metadata rules, pre-flight checks, words for people."""
