import os, requests
answer = requests.get(os.environ["BASE"] + "/", timeout=20)
print(answer.status_code, answer.text)
