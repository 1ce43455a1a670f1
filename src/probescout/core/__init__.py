"""The words and rules of Probescout: frozen dataclasses and a pure campaign machine; stdlib and NumPy only."""
