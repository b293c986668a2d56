"""Conditions without a server: snapshot files, payload folders, and payloads that are being tried out."""
