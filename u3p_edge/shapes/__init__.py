"""Shapes: the topologies that a UNet 3+ can take, each with the weights of the network as far as its channels are left."""
