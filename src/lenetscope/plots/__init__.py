"""The look of all figures, and the few primitives that several of them share.

Questions draw their own figures with it. Figures are plain `matplotlib.figure.Figure` objects without
pyplot state, and matplotlib is imported when something is drawn.
"""
