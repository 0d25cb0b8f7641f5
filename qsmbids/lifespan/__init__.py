"""Age curves of susceptibility and the priors that go with them."""
