const socket = new WebSocket(process.env.BASE.replace("http", "ws") + "/");
socket.onopen = () => { console.log("open"); socket.close(); };
socket.onmessage = (event) => console.log("message", event.data);
socket.onerror = (event) => console.log("error:", event.message || event.error?.message || event.type);
socket.onclose = (event) => console.log("close:", event.code, event.reason);
