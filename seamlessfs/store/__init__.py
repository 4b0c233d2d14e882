"""The tree on disk: an ordered map of bytes, its keys, and the overlay of what is not on disk yet."""
