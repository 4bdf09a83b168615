"""What setup.cfg cannot say; all metadata is there."""

from __future__ import annotations

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Leaves `adapters/__init__.py` out of wheels: AdapterHub's package has a file of that name.

    Installed in one environment, before or after ours, both share the folder `adapters`.
    """

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [one for one in found if one[:2] != ("adapters", "__init__")]


setup(cmdclass={"build_py": BuildPy})
