import os, openai
client = openai.OpenAI(base_url=os.environ["BASE"] + "/v1", api_key="none", max_retries=0, timeout=20)
print(client.models.list())
