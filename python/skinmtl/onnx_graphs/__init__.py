"""A deploy net as an ONNX graph: what export.py writes."""
