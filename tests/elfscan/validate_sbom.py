"""Validates bills of materials by the library that CycloneDX publishes, with the schema that is in it.

Reads one document in JSON a line; answers each with a line: `valid`, or where it is wrong and why.
"""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
for line in sys.stdin:
    error = validator.validate_str(line)
    if error is None:
        print("valid")
    else:
        place = "/".join(str(step) for step in error.data.absolute_path)
        print(f"/{place}: {error.data.message}".splitlines()[0])
