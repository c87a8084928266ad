"""Imports every module of the package of this name, and prints how many there are."""

import importlib
import pkgutil
import sys

package = importlib.import_module(sys.argv[1])
modules = list(pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
for module in modules:
    importlib.import_module(module.name)
print(len(modules))
