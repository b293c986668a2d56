"""What a filter is worth on labelled events, and how much two of them differ. Numpy and ONNX Runtime; no torch."""
