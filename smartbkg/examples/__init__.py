"""Steering files to begin with: copy one and change it."""
