"""Languages: what runs inside an instance, the frames to it, and the code and layers it loads."""
