// Command served answers with the path that each of Go's ways makes of the request, and prints the port that it listens
// on.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
)

func served(request *http.Request) map[string]*string {
	clean := path.Clean(request.URL.Path)
	paths := map[string]*string{"net/http": &request.URL.Path, "path.Clean": &clean}
	// As a proxy reads a reference; nothing is served for what it refuses.
	if parsed, err := url.Parse(request.RequestURI); err == nil {
		paths["url.Parse"] = &parsed.Path
	}
	return paths
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	answer := func(writer http.ResponseWriter, request *http.Request) {
		json.NewEncoder(writer).Encode(served(request))
	}
	panic(http.Serve(listener, http.HandlerFunc(answer)))
}
