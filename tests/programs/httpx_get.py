import os, httpx
answer = httpx.get(os.environ["BASE"] + "/", timeout=20)
print(answer.status_code, answer.text)
