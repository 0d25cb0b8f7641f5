"""Questions about people: group differences, scores, two groups told apart, sites."""
