"""Training: what drives Caffe's solver as the paper says, and the run folder that it leaves."""
