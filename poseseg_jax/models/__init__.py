"""The network: a picture in, Maps out. It never sees a target."""
