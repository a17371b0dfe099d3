"""Deep multi-task skin lesion classification in Caffe, after Liao and Luo (2017)."""

__version__ = "0.2.0"
