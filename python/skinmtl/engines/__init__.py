"""What runs a net: BVLC Caffe, the Caffe-compatible engine on PyTorch, or onnxruntime. The rest asks here."""
