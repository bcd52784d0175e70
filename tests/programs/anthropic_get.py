import os, anthropic
client = anthropic.Anthropic(base_url=os.environ["BASE"], api_key="none", max_retries=0, timeout=20)
print(client.models.list())
