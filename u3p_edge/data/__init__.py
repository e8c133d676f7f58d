"""Images, masks, splits, preprocessing and augmentation."""
