"""Run by the kernels of ``stocks lab`` and ``stocks run`` when they start: ``.plot()`` of pandas draws house figures.

They find it by ``PYTHONSTARTUP``. It leaves no name behind, and does nothing outside of a kernel.
"""

if "get_ipython" in globals():
    __import__("stocklib.plots")
