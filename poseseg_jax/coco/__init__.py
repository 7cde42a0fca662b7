"""COCO files: people in, results and scores out; the only door to pycocotools."""
