import io, os, sys, pycurl
body, curl = io.BytesIO(), pycurl.Curl()
curl.setopt(pycurl.URL, os.environ["BASE"] + "/")
curl.setopt(pycurl.WRITEDATA, body)
curl.setopt(pycurl.TIMEOUT, 20)
if "cainfo" in sys.argv:
    curl.setopt(pycurl.CAINFO, os.environ["SSL_CERT_FILE"])
curl.perform()
print(body.getvalue().decode())
