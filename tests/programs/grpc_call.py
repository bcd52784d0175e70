import os, grpc
channel = grpc.secure_channel(os.environ["AUTHORITY"], grpc.ssl_channel_credentials())
call = channel.unary_unary("/grpc.health.v1.Health/Check")
print(call(b"", timeout=20))
