"""The UNet 3+ reference model, its safe storage, and the safe reading of Keras files."""
