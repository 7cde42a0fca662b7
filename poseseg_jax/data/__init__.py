"""From pictures and labels to batches: sources, prepared data sets, augmentation."""
