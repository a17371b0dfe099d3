"""What pyproject.toml cannot say: the tools, the solvers and the workflow travel with the library."""

from setuptools import find_packages, setup

BESIDE = {"skinmtl_tools": "tools", "skinmtl_tools.solvers": "solvers", "skinmtl_tools.workflow": "workflow"}

setup(packages=[*find_packages("python"), *BESIDE], package_dir={"": "python", **BESIDE})
