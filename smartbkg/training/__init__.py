"""From events and labels to a trained file. `metrics` and `data` need no torch."""
