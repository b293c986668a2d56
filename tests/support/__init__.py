"""What tests share: builders of the smallest valid thing, and real servers."""
