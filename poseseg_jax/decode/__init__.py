"""Maps -> Instances: one jitted program without a loop over people."""
