"""What a net looks at: features, the nearest training images, and where in an image a label comes from."""
