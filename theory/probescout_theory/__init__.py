"""Theory: from a patch to an atomic structure; engines are found through the entry-point group probescout.theory.

patch --find_atoms--> atoms in pixels --calibrate--> columns in angstrom --register, occupy--> a described patch
      --flake | supercell--> a structure to simulate, or a refusal that says why there is none.
"""
