"""The reconstruction engine: arrays in, arrays out, in stated units."""
