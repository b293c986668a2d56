"""Networks: one architecture a file, and the checkpoint files they live in. Needs torch."""
