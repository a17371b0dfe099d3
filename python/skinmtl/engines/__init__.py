"""What runs a net: BVLC Caffe, or the Caffe-compatible engine on PyTorch. The rest of the library asks here."""
