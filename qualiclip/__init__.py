"""QualiCLIP: opinion-unaware image quality assessment by quality-aware image-text alignment.

Method: Agnolucci, Galteri, Bertini, "Quality-Aware Image-Text Alignment for Opinion-Unaware Image Quality Assessment",
arXiv 2403.11176.

Importing this package is cheap: torch is imported by the modules that need it, so that the bookkeeping of the
benchmark (tables, figures, report) runs without it.
"""
