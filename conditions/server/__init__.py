"""The conditions server: the Belle II wire API, HSF-style reads and an interface of our own, over one store."""
