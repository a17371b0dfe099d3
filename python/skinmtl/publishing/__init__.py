"""A trained net made ready for others: the model folder, ONNX, a torch state dict, the model card."""
