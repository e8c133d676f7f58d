"""An immutable graph of a model, how it is read from and written to tf_keras, and what inference keeps of it."""
