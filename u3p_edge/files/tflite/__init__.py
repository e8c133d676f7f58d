"""A stranger's TFLite file, checked before a runtime loads it."""
