"""Theory engines, found through the entry-point group probescout.theory; none is built yet."""
