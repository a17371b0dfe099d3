"""A deploy net as an ONNX graph: what export.py writes, and what the engine onnxruntime runs."""
