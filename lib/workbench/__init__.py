"""The application around ``stocklib``: what the command line, the DAGs and the containers run.

``stocklib`` never imports it. Notebooks need none of it.
"""
