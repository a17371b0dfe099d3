"""The nets: made, written, and held against weights."""
