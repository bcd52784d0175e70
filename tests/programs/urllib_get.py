import os, urllib.request
print(urllib.request.urlopen(os.environ["BASE"] + "/", timeout=20).read().decode())
