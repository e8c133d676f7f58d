"""An immutable graph of a model, its reading from and writing to tf_keras, and what inference keeps of it."""
