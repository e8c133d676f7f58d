"""Int8 by post-training quantization and by quantization-aware training."""
