"""One network for the keypoints and the pixels of every person in a picture."""
